"""Attacks with files: an agent lays a link, and the file API is asked to follow it out of the sandbox."""

import base64
import time
from collections.abc import Callable, Iterator

from tests.attack.client.attacks import attack
from tests.attack.client.victim import HOME, SECRET, Answer, Victim
from tests.attack.probe.attempts import Refused

_RACE_SECONDS = 1.0
_INSIDE = "stayed inside"
_FLIP = """
import os, time
end = time.time() + {seconds}
while time.time() < end:
    for target in ({first!r}, {second!r}):
        os.symlink(target, "flip.new")
        os.replace("flip.new", "flip")
"""


def _keep_secret(answer: Answer, secret: bytes = SECRET) -> str:
    """Return the secret as evidence if the answer holds it, else raise what came instead."""
    if secret in answer.body:
        return f"read {answer.body[:40]!r}"
    if 200 <= answer.status < 300:
        raise Refused(_INSIDE, repr(answer.body[:60]))
    return answer.judge()


def _see_scratch(victim: Victim, answer: Answer) -> str:
    """Return what became of the host's file as evidence, else raise what came instead."""
    if not victim.scratch.exists() or victim.scratch.read_bytes() != b"unchanged":
        return f"the host's file was changed, answer {answer.status}"
    raise Refused(_INSIDE if answer.status < 300 else str(answer.status))


@attack("404", "403")
def read_host_file_through_link(victim: Victim) -> str:
    """Download a link to the host's file."""
    victim.run(f"ln -s {victim.secret} to-secret")
    return _keep_secret(victim.read(f"{HOME}/to-secret"))


@attack("404", "403")
def read_host_file_through_folder_link(victim: Victim) -> str:
    """Download a file below a link to the host's folder."""
    victim.run(f"ln -s {victim.host_folder} to-folder")
    return _keep_secret(victim.read(f"{HOME}/to-folder/secret"))


@attack("404", "403")
def read_host_file_through_process_folder(victim: Victim) -> str:
    """Download by way of the daemon's own root directory."""
    return _keep_secret(victim.read(f"/proc/self/root{victim.secret}"))


@attack("404", "403", "400")
def read_host_file_by_climbing(victim: Victim) -> str:
    """Download by way of `..`."""
    return _keep_secret(victim.read(f"{HOME}/{'../' * 40}{victim.secret}"))


@attack(_INSIDE, "404", "403", "500")
def write_host_file_through_link(victim: Victim) -> str:
    """Upload onto a link to the host's file."""
    victim.run(f"ln -s {victim.scratch} to-scratch")
    return _see_scratch(victim, victim.write(f"{HOME}/to-scratch", b"changed"))


@attack(_INSIDE, "400", "403", "404", "409")
def write_host_file_through_folder_link(victim: Victim) -> str:
    """Upload below a link to the host's folder."""
    victim.run(f"ln -s {victim.host_folder} to-other-folder")
    return _see_scratch(victim, victim.write(f"{HOME}/to-other-folder/scratch", b"changed"))


@attack("404", "403")
def list_host_folder_through_link(victim: Victim) -> str:
    """List a link to the host's folder."""
    victim.run(f"ln -s {victim.host_folder} to-list")
    return _keep_secret(victim.call("filesystem.Filesystem/ListDir", {"path": f"{HOME}/to-list"}), b"scratch")


@attack("404", "403")
def move_host_file_into_sandbox(victim: Victim) -> str:
    """Move the host's file to where it can be read."""
    victim.run(f"ln -s {victim.host_folder} to-move")
    message = {"source": f"{HOME}/to-move/scratch", "destination": f"{HOME}/stolen"}
    return _see_scratch(victim, victim.call("filesystem.Filesystem/Move", message))


@attack(_INSIDE, "404")
def remove_host_file_through_folder_link(victim: Victim) -> str:
    """Remove a file below a link to the host's folder."""
    victim.run(f"ln -s {victim.host_folder} to-remove")
    answer = victim.call("filesystem.Filesystem/Remove", {"path": f"{HOME}/to-remove/scratch"})
    return _see_scratch(victim, answer)


@attack(_INSIDE, "400", "403", "404", "409")
def make_host_folder_through_link(victim: Victim) -> str:
    """Make a folder below a link to the host's."""
    victim.run(f"ln -s {victim.host_folder} to-make")
    answer = victim.call("filesystem.Filesystem/MakeDir", {"path": f"{HOME}/to-make/made"})
    made = victim.host_folder / "made"
    if made.exists():
        made.rmdir()
        return "made a folder on the host"
    return answer.judge()


@attack(_INSIDE)
def read_host_file_in_a_race(victim: Victim) -> str:
    """Download a name again and again that is now a file and then a link to the host's."""
    return _race_to_read(victim, str(victim.secret), SECRET)


@attack(_INSIDE, permitted_to_root="the file is its own")
def read_roots_file_in_a_race(victim: Victim) -> str:
    """The same with a file that only the sandbox's root may read: the daemon runs as root."""
    return _race_to_read(victim, "../../etc/shadow", b"root:")


def _race_to_read(victim: Victim, forbidden: str, secret: bytes) -> str:
    victim.run("echo harmless > plain")
    seen = set()
    for answer in _race(victim, "plain", forbidden, lambda: victim.read(f"{HOME}/flip")):
        if secret in answer.body:
            return f"read {answer.body[:40]!r}"
        seen.add(answer.status)
    return _both_ways(seen)


@attack(_INSIDE)
def write_host_file_in_a_race(victim: Victim) -> str:
    """Upload below a name that is now a folder and then a link to the host's."""
    victim.run("mkdir -p plain-folder")
    seen = set()
    write = victim.write
    for answer in _race(
        victim, "plain-folder", str(victim.host_folder), lambda: write(f"{HOME}/flip/scratch", b"changed")
    ):
        if victim.scratch.read_bytes() != b"unchanged":
            return "the host's file was changed"
        seen.add(answer.status)
    return _both_ways(seen)


def _race(victim: Victim, first: str, second: str, ask: Callable[[], Answer]) -> Iterator[Answer]:
    victim.run(f"rm -rf flip; ln -s {first} flip")
    code = base64.b64encode(_FLIP.format(seconds=_RACE_SECONDS, first=first, second=second).encode()).decode()
    victim.run(f"echo {code} | base64 -d > flip.py; python3 flip.py >/dev/null 2>&1 &")
    end = time.monotonic() + _RACE_SECONDS
    while time.monotonic() < end:
        yield ask()


def _both_ways(seen: set[int]) -> str:
    if len(seen) < 2:
        raise AssertionError(f"there was no race: every answer was {seen}")
    raise Refused(_INSIDE, f"answers {sorted(seen)}")


@attack("403", "404", permitted_to_root="the file is its own")
def read_roots_file_through_hard_link(victim: Victim) -> str:
    """Download a second name of a file that only root may read."""
    victim.run("ln ../../etc/shadow second-name || true")
    return _keep_secret(victim.read(f"{HOME}/second-name"), b"root:")


@attack("401", "403", permitted_to_root="the file is its own")
def read_roots_file_as_root(victim: Victim) -> str:
    """Ask for the download in root's name."""
    return _keep_secret(victim.read("/etc/shadow", username="root"), b"root:")


@attack("400", "403")
def read_pipe_without_end(victim: Victim) -> str:
    """Download a pipe into which nobody writes: whoever opens it waits for ever."""
    victim.run("mkfifo silent || true")
    return victim.read(f"{HOME}/silent").judge()


@attack("400", "403", "404")
def read_device_without_end(victim: Victim) -> str:
    """Download a device that has no end."""
    return victim.read("/dev/zero").judge()


@attack("400", "403", "404")
def write_to_device(victim: Victim) -> str:
    """Upload onto a device."""
    return victim.write("/dev/full", b"x").judge()


@attack("403")
def read_memory_map_of_daemon(victim: Victim) -> str:
    """Download where things lie in the daemon's memory, by each of its names for itself, and by a link."""
    victim.run("ln -sfn /proc/self/maps to-maps")
    names = ("self/smaps", "1/maps", "thread-self/maps", "self/task/1/maps", "self/maps")
    for path in (f"{HOME}/to-maps", *(f"/proc/{name}" for name in names)):
        answer = victim.read(path)
        if b" r-xp " in answer.body:
            return f"read {answer.body[:40]!r} of {path}"
    return answer.judge()


@attack("403")
def read_program_of_daemon(victim: Victim) -> str:
    """Download the program that the daemon is, a file of the host, by each of its names, and by a link."""
    victim.run("ln -sfn /proc/self/exe to-program")
    for path in (f"{HOME}/to-program", "/proc/1/exe", "/proc/thread-self/exe", "/proc/self/exe"):
        answer = victim.read(path)
        if answer.body.startswith(b"\x7fELF"):
            return f"read {answer.body[:4]!r} of {path}"
    return answer.judge()


@attack(_INSIDE)
def learn_path_of_program_of_daemon(victim: Victim) -> str:
    """Ask where the link to it leads, which names a place on the host."""
    victim.run("ln -sfn /proc/self/exe to-program")
    for path in ("/proc/1/exe", f"{HOME}/to-program"):
        answer = victim.call("filesystem.Filesystem/Stat", {"path": path})
        if b"/python" in answer.body:
            return f"was told {answer.body[-60:]!r}"
    return _keep_secret(answer)


@attack("403")
def read_namespace_of_daemon(victim: Victim) -> str:
    """Download a namespace: a regular file by its mode, which nobody can read."""
    return victim.read("/proc/self/ns/net").judge()


@attack("403")
def list_memory_map_of_daemon(victim: Victim) -> str:
    """List it instead."""
    answer = victim.call("filesystem.Filesystem/ListDir", {"path": "/proc/self/map_files"})
    return _keep_secret(answer, b"-7")


@attack("403")
def list_memory_map_of_daemon_from_above(victim: Victim) -> str:
    """List what lies above it, down to its depth."""
    answer = victim.call("filesystem.Filesystem/ListDir", {"path": "/proc/self/", "depth": 2})
    return _keep_secret(answer, b"map_files")
