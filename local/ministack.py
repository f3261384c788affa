"""The AWS of one machine: ministack in its own virtual environment, on loopback, checking signatures."""

import hashlib
import resource
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from local import processes
from local.identity import REGION, Identity
from local.places import REPOSITORY, Places

NAME = "ministack"
_PACKAGES = ("ministack", "aws-sam-translator", "uvloop")
_LOCK = REPOSITORY / "requirements.lock"
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02


def install(places: Places) -> None:
    """Make the virtual environment unless it is there for this lock file and this Python.

    It holds nothing else: functions run on its interpreter and see its packages after their layers'.
    """
    stamp = places.ministack_venv / "castari-stamp"
    wanted = hashlib.sha256(f"{sys.executable} {sys.version} {_LOCK.read_text()}".encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run(
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, places.ministack_venv], check=True
    )
    subprocess.run(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            places.ministack_venv,
            "--constraint",
            _LOCK,
            *_PACKAGES,
        ],
        check=True,
    )
    stamp.write_text(wanted)


def interpreter(places: Places) -> Path:
    """The Python that runs the functions."""
    return places.ministack_venv / "bin" / "python"


def start(places: Places, identity: Identity) -> None:
    """Start it and wait until it answers. Raises `ProcessFailed` with the end of its log if it does not."""
    log = places.logs / f"{NAME}.log"
    process = processes.start(
        NAME,
        _command(places, identity),
        environment=_environment(places, identity),
        folder=places.temporary,
        pids=places.pids,
        log=log,
    )
    deadline = time.monotonic() + _READY_SECONDS
    while not answers(identity):
        if not process.alive or time.monotonic() > deadline:
            message = f"ministack did not start; its log ends:\n{processes.tail(log)}"
            raise processes.ProcessFailed(message)
        time.sleep(_POLL_SECONDS)


def answers(identity: Identity) -> bool:
    """Whether it answers now."""
    try:
        with urllib.request.urlopen(f"{identity.aws_url}/_ministack/health", timeout=2):  # noqa: S310 - loopback
            return True
    except OSError:
        return False


def _command(places: Places, identity: Identity) -> list[str | Path]:
    """Return how its server starts on uvloop, which takes 2 to 3 ms off a warm invoke.

    `python -m ministack` chooses the loop itself, and raises its limit of open files itself.
    """
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        *("prlimit", f"--nofile={most_files}:{most_files}"),
        *(interpreter(places), "-m", "hypercorn", "ministack.app:app"),
        *("--worker-class", "uvloop", "--workers", "0"),
        *("--bind", f"127.0.0.1:{identity.gateway_port}"),
        *("--keep-alive", "75"),
    ]


def _environment(places: Places, identity: Identity) -> dict[str, str]:
    """Return everything that it and the functions' workers inherit; nothing of the caller's environment."""
    return {
        processes.MARK: str(places.root),
        "PATH": f"{places.ministack_venv}/bin:/usr/bin:/bin",
        "HOME": str(places.temporary),
        "TMPDIR": str(places.temporary),
        "LANG": "C.UTF-8",
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": identity.root_key_id,
        "AWS_SECRET_ACCESS_KEY": identity.root_secret,
        "MINISTACK_REGION": REGION,
        "GATEWAY_PORT": str(identity.gateway_port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        # No X-Ray daemon listens here.
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
