"""Attacks with paths that are no paths."""

from tests.attack.client.attacks import attack
from tests.attack.client.victim import HOME, Answer, Victim


@attack("400")
def nul_in_path(victim: Victim) -> str:
    """End the path in the middle, for those who read it in C."""
    return victim.read(f"{HOME}/a\0b").judge()


@attack("400")
def nul_in_call(victim: Victim) -> str:
    """The same in a call."""
    return victim.call("filesystem.Filesystem/Stat", {"path": f"{HOME}/a\0b"}).judge()


@attack("400")
def nul_in_written_path(victim: Victim) -> str:
    """The same in an upload."""
    return victim.write(f"{HOME}/a\0b", b"x").judge()


@attack("400", "404")
def path_of_4096_bytes(victim: Victim) -> str:
    """One byte more than the kernel takes."""
    return victim.read("/" + "a/" * 2047 + "a").judge()


@attack("400")
def name_of_256_bytes(victim: Victim) -> str:
    """One byte more than a file system takes."""
    return victim.write(f"{HOME}/{'a' * 256}", b"x").judge()


@attack("400", "404", "414", "closed")
def path_of_100_kilobytes(victim: Victim) -> str:
    """Far more than a request line should hold."""
    return victim.read("/" + "a" * 100_000).judge()


@attack("400", "404")
def path_that_is_no_text(victim: Victim) -> str:
    """Bytes that are not UTF-8."""
    return _get(victim, f"/files?path={HOME}/%ff%fe").judge()


@attack("400", "404")
def path_with_half_a_character(victim: Victim) -> str:
    """Half of a pair of UTF-16, which JSON can say and UTF-8 can not."""
    headers = {**victim.headers, "Content-Type": "application/json"}
    body = b'{"path": "/home/user/\\ud800"}'
    return victim.ask("POST", "/filesystem.Filesystem/Stat", headers, body).judge()


@attack("400", "404")
def file_as_a_folder(victim: Victim) -> str:
    """Go through a file as if it were a folder."""
    return victim.read("/etc/passwd/x").judge()


@attack("400")
def folder_as_a_file(victim: Victim) -> str:
    """Download a folder."""
    return victim.read("/etc").judge()


@attack("400", "404")
def link_to_itself(victim: Victim) -> str:
    """Follow a link that never ends."""
    victim.run("ln -sfn loop loop")
    return victim.read(f"{HOME}/loop").judge()


@attack("400")
def path_that_is_a_number(victim: Victim) -> str:
    """Send another type than text."""
    return victim.call("filesystem.Filesystem/Stat", {"path": 7}).judge()


@attack("401", "400")
def user_that_is_a_path(victim: Victim) -> str:
    """Name a user that is a path."""
    return victim.read("x", username="../../etc/shadow").judge()


def _get(victim: Victim, target: str) -> Answer:
    return victim.ask("GET", target, victim.headers)
