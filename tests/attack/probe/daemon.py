"""Attempts on the sandbox's daemon, process 1, through its files in /proc."""

import os
from functools import partial
from pathlib import Path

from .attempts import attempt, first_success
from .targets import Target

_CONTROLS = ("comm", "oom_score_adj", "oom_adj", "autogroup", "clear_refs", "coredump_filter", "sched", "mem")
_MAPPINGS = ("uid_map", "gid_map", "projid_map", "setgroups", "timens_offsets")
_TOLD = ("maps", "smaps", "numa_maps", "pagemap", "stack", "syscall", "auxv", "io", "personality")
_USUAL_SLACK_NS = 50_000


def _open_first(names: tuple[str, ...], flags: int) -> str:
    return first_success(partial(_open, name, flags) for name in names)


def _open(name: str, flags: int) -> str:
    os.close(os.open(f"/proc/1/{name}", flags))
    return f"opened /proc/1/{name}"


@attempt("EACCES", "EPERM", weakness="root")
def steer_init(target: Target) -> str:  # noqa: ARG001
    """Open for writing what steers process 1: its name, its score when memory runs out, its memory."""
    return _open_first(_CONTROLS, os.O_WRONLY)


@attempt("EACCES", "EPERM", weakness="root")
def map_ids_of_init(target: Target) -> str:  # noqa: ARG001
    """Open for writing what maps the ids of the namespace that process 1 made."""
    return _open_first(_MAPPINGS, os.O_WRONLY)


@attempt("EACCES", "EPERM", weakness="root")
def read_layout_of_init(target: Target) -> str:  # noqa: ARG001
    """Read where things lie in the memory of process 1, and what it is doing."""
    return first_success(partial(_read, name) for name in _TOLD)


def _read(name: str) -> str:
    descriptor = os.open(f"/proc/1/{name}", os.O_RDONLY)
    try:
        # Some of them are opened by anybody, and refuse when they are read.
        return f"read {len(os.read(descriptor, 64))} bytes of /proc/1/{name}"
    finally:
        os.close(descriptor)


@attempt("EACCES", "EPERM", weakness="root")
def open_program_of_init(target: Target) -> str:  # noqa: ARG001
    """Open the program of process 1, a file of the host's."""
    return _open("exe", os.O_RDONLY)


@attempt("EACCES", "EPERM", weakness="root")
def list_descriptors_of_init(target: Target) -> str:  # noqa: ARG001
    """List what process 1 holds open."""
    return first_success(partial(_list, name) for name in ("fd", "map_files", "ns"))


def _list(name: str) -> str:
    return f"listed {len(list(Path('/proc/1', name).iterdir()))} entries of /proc/1/{name}"


@attempt("EPERM", "EACCES", weakness="root")
def delay_timers_of_init(target: Target) -> str:  # noqa: ARG001
    """Set how late the timers of process 1 may be, to what is usual."""
    Path("/proc/1/timerslack_ns").write_text(str(_USUAL_SLACK_NS), encoding="ascii")
    return "set the timer slack of process 1"
