"""Sets up what clients attack: the naive server for the control, and a sandbox of the real one."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from e2b import Sandbox

from tests.attack.arena import Arena
from tests.attack.client.victim import HOME, Victim
from tests.attack.probe import Caller
from tests.attack.serve import API_KEY, LIMITS
from tests.attack.weak.plan import HOST_ID

_PYTHON = "/usr/bin/python3"
"""The host's own, which everybody may execute."""


@contextmanager
def naive_victim(folder: Path) -> Iterator[Victim]:
    """A fresh naive server over a fresh folder, run as nobody."""
    root, program = folder / "root", folder / "naive.py"
    home = Path(f"{root}{HOME}")
    for each in (home, root / "etc"):
        each.mkdir(parents=True)
    (root / "etc/shadow").write_text("root:stand-in\n")
    shutil.copy(Path(__file__).with_name("naive.py"), program)
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o777)
    command = [_PYTHON, "-I", str(program), str(root)]

    def run(line: str) -> str:
        return subprocess.check_output(
            ["/bin/sh", "-c", line], cwd=home, text=True, user=HOST_ID, group=HOST_ID
        )

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, user=HOST_ID, group=HOST_ID
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Victim(
                address=("127.0.0.1", port),
                sandbox_id="naive",
                token=secrets.token_hex(8),
                other_id="other",
                other_token=secrets.token_hex(8),
                api_key=API_KEY,
                process=psutil.Process(process.pid),
                disk_mb=8,
                host_folder=folder / "host",
                patience_seconds=1.5,
                run=run,
            )
        finally:
            process.kill()


@contextmanager
def real_victim(arena: Arena, folder: Path, caller: Caller = "user") -> Iterator[Victim]:
    """A fresh sandbox of the real server, beside the arena's neighbour. We are in the world's host."""
    sandbox = arena.server.create(caller)
    try:
        yield Victim(
            address=("127.0.0.1", arena.server.port),
            sandbox_id=sandbox.sandbox_id,
            token=_token_of(sandbox),
            other_id=arena.neighbour.sandbox_id,
            other_token=_token_of(arena.neighbour),
            api_key=API_KEY,
            process=arena.server.process,
            disk_mb=LIMITS.disk_mb,
            host_folder=folder / "host",
            patience_seconds=30,
            run=lambda line: sandbox.commands.run(line, cwd=HOME, user=caller).stdout,
            user=caller if caller == "root" else "",
        )
    finally:
        sandbox.kill()


def _token_of(sandbox: Sandbox) -> str:
    # The SDK sends it with every call and does not show it.
    token = sandbox._envd_access_token
    assert token
    return token
