"""Attempts to have more powers than root of a sandbox has, or to shed what holds it."""

import ctypes
import resource
import struct
from functools import partial
from pathlib import Path

from . import kernel
from .attempts import Refused, attempt, first_success
from .targets import Target

_OWN = frozenset({0, 1, 3, 4, 5, 6, 7, 10})
"""CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID and NET_BIND_SERVICE."""
_HIGHEST = 40
_VERSION_3 = 0x20080522
_PR_SET_SECUREBITS, _KEEP_CAPS_LOCKED = 28, 1 << 5
_BEST_NICENESS = "-20"


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@attempt("eight at most", weakness="root")
def hold_more_than_eight_capabilities(target: Target) -> str:  # noqa: ARG001
    """Look for a capability beyond the eight in any of one's sets."""
    allowed = sum(1 << number for number in _OWN)
    more = {name: value for name, value in _status().items() if name.startswith("Cap")}
    found = {name: value for name, value in more.items() if int(value, 16) & ~allowed}
    if not found:
        raise Refused("eight at most")
    return str(found)


@attempt("EPERM", weakness="root")
def raise_more_capabilities(target: Target) -> str:  # noqa: ARG001
    """Set a capability beyond the eight."""
    return first_success(partial(_raise, number) for number in range(_HIGHEST + 1) if number not in _OWN)


def _raise(number: int) -> str:
    low, high = (1 << number) & 0xFFFF_FFFF, (1 << number) >> 32
    header = ctypes.create_string_buffer(struct.pack("<II", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("<6I", low, low, 0, high, high, 0))
    kernel.call("capset", kernel.address(header), kernel.address(data))
    return f"holds capability {number}"


@attempt("EPERM", weakness="root")
def set_secure_bits(target: Target) -> str:  # noqa: ARG001
    """Change how capabilities follow from ids."""
    kernel.call("prctl", _PR_SET_SECUREBITS, _KEEP_CAPS_LOCKED, 0, 0, 0)
    return "changed the secure bits"


@attempt("filtered", weakness="root")
def call_without_a_filter(target: Target) -> str:  # noqa: ARG001
    """Look whether system calls pass a filter."""
    if _status()["Seccomp"] == "2":
        raise Refused("filtered")
    return "no filter"


@attempt("EPERM", weakness="lenient_kernel")
def raise_other_limits(target: Target) -> str:  # noqa: ARG001
    """Raise any hard limit: on core files, locked memory, queued signals, message queues, priorities."""
    kinds = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
    limited = {each: resource.getrlimit(each)[1] for each in kinds}
    return first_success(
        partial(_raise_limit, kind, hard) for kind, hard in limited.items() if hard != resource.RLIM_INFINITY
    )


def _raise_limit(kind: int, hard: int) -> str:
    limits = ctypes.create_string_buffer(struct.pack("QQ", hard + 1, hard + 1))
    kernel.call("prlimit64", 0, kind, kernel.address(limits), 0)
    return f"raised limit {kind} of {hard}"


@attempt("EPERM", "EACCES", "ENOENT", weakness="user")
def raise_priority_of_session(target: Target) -> str:
    """Give all processes of one's session a better priority, by the file that schedulers group by."""
    path = Path(target.kernel_files, "self", "autogroup")
    path.write_text(_BEST_NICENESS, encoding="ascii")
    return f"wrote {path}"
