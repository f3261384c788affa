"""Network namespaces that a test makes, enters and removes."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str) -> None:
    """Run one of the host's tools. Raises `RuntimeError` with what it said."""
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise RuntimeError(f"{' '.join(command)}: {told.stderr.strip()}")


class NetworkNamespace:
    """A network of its own, known to the `ip` tool by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enter_command = ("nsenter", f"--net=/run/netns/{name}")
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        """Run the `ip` tool inside."""
        run("ip", "-netns", self.name, *arguments)

    def sysctl(self, name: str, value: str) -> None:
        """Set one of its network settings."""
        with self.entered():
            Path("/proc/sys/net", name).write_text(value, encoding="ascii")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread's new sockets, and the processes it starts, belong to the namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            inside = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                _enter(inside)
            finally:
                os.close(inside)
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def remove(self) -> None:
        """Take the namespace's name away; it ends with the last process inside."""
        run("ip", "netns", "delete", self.name)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "can not enter a network namespace")
