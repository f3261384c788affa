"""The capabilities of a process: which it may ever have, and which it has."""

import ctypes
import os
from functools import cache
from pathlib import Path

from local.sandboxes.namespaces.syscalls import prctl

_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x2008_0522
_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityWord(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@cache
def all_capabilities() -> frozenset[int]:
    """Return every capability that this kernel knows."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    return frozenset(range(last + 1))


def drop_bounding_capabilities(kept: frozenset[int]) -> None:
    """Put all capabilities but `kept` out of reach of this process and whatever it will execute."""
    for capability in all_capabilities() - kept:
        prctl(_PR_CAPBSET_DROP, capability)


def limit_capabilities(kept: frozenset[int]) -> None:
    """Keep only `kept` of the capabilities that this process has; none pass on through exec."""
    mask = sum(1 << capability for capability in kept)
    words = (_CapabilityWord * 2)(
        *(_CapabilityWord(part, part, 0) for part in (mask & 0xFFFF_FFFF, mask >> 32))
    )
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    if _libc.capset(ctypes.byref(header), ctypes.byref(words)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
