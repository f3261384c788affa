"""Attacks on who may do what: keys, tokens, signatures, and calls that are not for clients."""

import base64
import hashlib
import time
from urllib.parse import quote

from tests.attack.client.attacks import attack
from tests.attack.client.victim import HOME, Answer, Victim
from tests.attack.probe.attempts import Refused

_CLOSED = ("401", "403", "404")


@attack("401")
def list_sandboxes_without_a_key(victim: Victim) -> str:
    """Ask the control plane for everybody's sandboxes."""
    return victim.ask("GET", "/v2/sandboxes", {}).judge()


@attack("401")
def list_sandboxes_with_a_wrong_key(victim: Victim) -> str:
    """Ask with a key that is right but for its end."""
    return victim.ask("GET", "/v2/sandboxes", {"X-API-KEY": victim.api_key[:-1]}).judge()


@attack("401")
def list_sandboxes_with_a_token(victim: Victim) -> str:
    """Ask with a sandbox's token, which an agent could know."""
    return victim.ask("GET", "/v2/sandboxes", {"X-API-KEY": victim.token}).judge()


@attack("401")
def kill_another_sandbox_without_a_key(victim: Victim) -> str:
    """End somebody else's sandbox."""
    return victim.ask("DELETE", f"/sandboxes/{victim.other_id}", {}).judge()


@attack("401")
def open_sandbox_without_a_token(victim: Victim) -> str:
    """Read a sandbox's file with nothing but its id."""
    return victim.ask("GET", f"/files?path={HOME}/heartbeat.py", _other(victim, "")).judge()


@attack("401")
def open_another_sandbox_with_own_token(victim: Victim) -> str:
    """Read another sandbox's file with one's own token."""
    return victim.ask("GET", f"/files?path={HOME}/heartbeat.py", _other(victim, victim.token)).judge()


@attack("401")
def run_in_another_sandbox_with_own_token(victim: Victim) -> str:
    """Call another sandbox's daemon with one's own token."""
    headers = {**_other(victim, victim.token), "Content-Type": "application/json"}
    return victim.ask("POST", "/process.Process/List", headers, b"{}").judge()


@attack("401")
def open_sandbox_with_the_key(victim: Victim) -> str:
    """Use the API key, which a client might send by mistake, as a token."""
    return victim.ask("GET", f"/files?path={HOME}/heartbeat.py", _other(victim, victim.api_key)).judge()


@attack("401", "400")
def sign_for_another_path(victim: Victim) -> str:
    """Use a signature for one file on another."""
    return _with_signature(victim, "GET", "/etc/passwd", _sign(victim, f"{HOME}/x", "read")).judge()


@attack("401")
def write_with_a_signature_to_read(victim: Victim) -> str:
    """Use a signature to read for writing."""
    path = f"{HOME}/x"
    return _with_signature(victim, "POST", path, _sign(victim, path, "read")).judge()


@attack("401")
def use_an_expired_signature(victim: Victim) -> str:
    """Use a signature after its time."""
    path, expiry = "/etc/passwd", str(int(time.time()) - 60)
    signature = _sign(victim, path, "read", expiry)
    return _with_signature(victim, "GET", path, signature, f"&signature_expiration={expiry}").judge()


@attack("401")
def stretch_a_signature(victim: Victim) -> str:
    """Give a signature without a time a later one than it was made for."""
    path = "/etc/passwd"
    signature = _sign(victim, path, "read", str(int(time.time()) - 60))
    later = f"&signature_expiration={int(time.time()) + 60}"
    return _with_signature(victim, "GET", path, signature, later).judge()


@attack(*_CLOSED)
def initialise_the_daemon(victim: Victim) -> str:
    """Call what is for the server alone: it sets the sandbox's environment."""
    headers = {**victim.headers, "Content-Type": "application/json"}
    return victim.ask("POST", "/init", headers, b'{"envVars": {"LD_PRELOAD": "/tmp/x"}}').judge()


@attack(*_CLOSED)
def initialise_the_daemon_by_another_spelling(victim: Victim) -> str:
    """The same by a path that only means the same after cleaning."""
    headers = {**victim.headers, "Content-Type": "application/json"}
    return victim.ask("POST", "/files/../%69nit", headers, b"{}").judge()


@attack(*_CLOSED)
def freeze_the_daemon(victim: Victim) -> str:
    """Call what stops a sandbox."""
    return victim.ask("POST", "/freeze", victim.headers, b"{}").judge()


@attack("400", "404", "502", "not found")
def use_a_path_as_sandbox_id(victim: Victim) -> str:
    """Name a sandbox by a path to another socket."""
    headers = {**victim.headers, "E2b-Sandbox-Id": f"../{victim.other_id}"}
    return _gone(victim.ask("GET", "/files?path=/etc/passwd", headers).status)


@attack("400", "404", "502", "not found")
def use_another_port(victim: Victim) -> str:
    """Reach a port of the sandbox other than its daemon's."""
    return _gone(victim.ask("GET", "/", {**victim.headers, "E2b-Sandbox-Port": "22"}).status)


@attack("404", "403", "401", "400")
def signal_the_daemon(victim: Victim) -> str:
    """End process 1, which is the daemon itself."""
    message = {"process": {"pid": 1}, "signal": "SIGNAL_SIGKILL"}
    return victim.call("process.Process/SendSignal", message).judge()


@attack("401", "403")
def run_as_root(victim: Victim) -> str:
    """Call in root's name."""
    headers = {**victim.headers, "Content-Type": "application/json"}
    headers["Authorization"] = "Basic " + base64.b64encode(b"root:").decode()
    return victim.ask("POST", "/filesystem.Filesystem/Stat", headers, b'{"path": "/root"}').judge()


def _other(victim: Victim, token: str) -> dict[str, str]:
    return {"E2b-Sandbox-Id": victim.other_id, "E2b-Sandbox-Port": "49983", "X-Access-Token": token}


def _sign(victim: Victim, path: str, operation: str, expiry: str = "") -> str:
    text = ":".join([path, operation, "user", victim.token, *([expiry] if expiry else [])])
    return "v1_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _with_signature(victim: Victim, method: str, path: str, signature: str, more: str = "") -> Answer:
    target = f"/files?path={quote(path, safe='')}&username=user&signature={quote(signature, safe='')}{more}"
    return victim.ask(method, target, {}, b"x" if method == "POST" else b"")


def _gone(status: int) -> str:
    if status == 502:
        raise Refused("not found")
    return Answer(status, b"").judge()
