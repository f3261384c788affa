"""Keeps the probe from ever attacking a machine that is not a sandbox."""

from pathlib import Path

INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""The kernel gives its first user namespace this fixed number (`PROC_USER_INIT_INO`)."""

IDENTITY = "0 0 4294967295"


class NotASandboxError(Exception):
    """The probe stands in the host's own user namespace, where its attacks could do harm."""


def check_sandboxed(process: Path = Path("/proc/self")) -> None:
    """Raise `NotASandboxError` unless this process lives in a user namespace of its own.

    What can not be read counts as a host: a sandbox always shows a process its own files.
    """
    try:
        namespace = str((process / "ns" / "user").readlink())
        mapping = " ".join((process / "uid_map").read_text(encoding="ascii").split())
    except OSError as error:
        raise NotASandboxError(f"can not tell whether this is a sandbox ({error}): not starting") from error
    if namespace == INITIAL_USER_NAMESPACE or mapping == IDENTITY:
        raise NotASandboxError("this is the host's user namespace, not a sandbox: not starting")
