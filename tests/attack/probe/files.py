"""Attempts to read files of the host: by path, through /proc, and through what was left open."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt
from .targets import Target

_CLIMB = "../" * 40


def _open_first(paths: Iterator[str]) -> str:
    refusal: OSError | Refused = Refused("ENOENT", "no such path")
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError as error:
            refusal = error
        else:
            return f"opened {path}"
    raise refusal


def _listed(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def _processes() -> list[str]:
    return [path.name for path in Path("/proc").glob("[0-9]*") if path.name != str(os.getpid())]


@attempt("ENOENT", weakness="user")
def open_host_file_by_path(target: Target) -> str:
    """Open the file where the host has it, plainly and by climbing above the root."""
    return _open_first(iter((target.host_file, f"/{_CLIMB}{target.host_file}", _CLIMB + target.host_file)))


@attempt("ENOENT", "EACCES", weakness="root")
def open_host_file_through_process_roots(target: Target) -> str:
    """Look for the file under the root directory of every process in sight."""
    return _open_first(f"/proc/{pid}/root{target.host_file}" for pid in _processes())


@attempt("ENOENT", "EACCES", weakness="root")
def open_host_file_through_working_directories(target: Target) -> str:
    """Climb to the file from the working directory of every process in sight."""
    return _open_first(f"/proc/{pid}/cwd/{_CLIMB}{target.host_file}" for pid in _processes())


@attempt("ENOENT", "EACCES", "ENOTDIR", weakness="root")
def open_host_file_through_descriptors(target: Target) -> str:
    """Climb to the file from every directory that a process in sight holds open."""

    def paths() -> Iterator[str]:
        for pid in _processes():
            folder = f"/proc/{pid}/fd"
            with suppress(OSError):  # those of other users can not even be listed
                yield from (f"{folder}/{name}/{_CLIMB}{target.host_file}" for name in _listed(folder))

    return _open_first(paths())


def _left_open() -> dict[str, str]:
    found = {}
    for name in set(_listed("/proc/self/fd")) - {"0", "1", "2"}:
        with suppress(OSError):  # the descriptor of the listing itself is gone by now
            found[name] = str(Path("/proc/self/fd", name).readlink())
    return {name: what for name, what in found.items() if not what.endswith(".pyz")}


_INHERITED = _left_open()


@attempt("nothing inherited", weakness="user")
def use_inherited_descriptors(target: Target) -> str:  # noqa: ARG001
    """Look for descriptors beyond the first three that whoever started the agent forgot to close."""
    if not _INHERITED:
        raise Refused("nothing inherited")
    return f"inherited {_INHERITED}"


@attempt("ENOENT", "EACCES", "nothing named", weakness="user")
def open_overlay_layers(target: Target) -> str:  # noqa: ARG001
    """Open the host directories that the mount table names as the root's layers."""
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    options = [option for word in table.split() for option in word.split(",")]
    names = ("lowerdir", "lowerdir+", "upperdir", "workdir")
    layers = [
        path
        for name, _, value in (o.partition("=") for o in options)
        if name in names
        for path in value.split(":")
    ]
    if not layers:
        raise Refused("nothing named")
    return _open_first(iter(layers))


@attempt("EPERM", weakness="lenient_kernel")
def open_by_file_handle(target: Target) -> str:  # noqa: ARG001
    """Open a file by its number instead of its path, which leads around the root directory."""
    handle = (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + (2).to_bytes(8, "little")
    root = os.open("/", os.O_RDONLY)
    try:
        kernel.drop(kernel.call("open_by_handle_at", root, handle, os.O_RDONLY))
    finally:
        os.close(root)
    return "opened a file handle"


@attempt("ENOENT", "ENOTDIR", weakness="user")
def open_host_directories(target: Target) -> str:
    """Open the folder that holds the host's file, as a way to everything beside it."""
    return _open_first(iter((str(Path(target.host_file).parent),)))
