"""The attack probe: acts as a hostile agent inside a sandbox and tells what it could not do.

It needs nothing but Python's standard library, so that it runs in any sandbox.
"""

from . import (
    crowds,
    daemon,
    descriptors,
    devices,
    disk,
    files,
    identity,
    interfaces,
    kernel_files,
    memory,
    mounts,
    namespaces,
    network,
    ownership,
    powers,
    processes,
    sockets,
    spoofing,
    tasks,
)
from .attempts import ATTEMPTS, Attempt, Caller, Weakness, attempts_of
from .targets import Limits, Target

__all__ = [
    "ATTEMPTS",
    "Attempt",
    "Caller",
    "Limits",
    "Target",
    "Weakness",
    "attempts_of",
    "crowds",
    "daemon",
    "descriptors",
    "devices",
    "disk",
    "files",
    "identity",
    "interfaces",
    "kernel_files",
    "memory",
    "mounts",
    "namespaces",
    "network",
    "ownership",
    "powers",
    "processes",
    "sockets",
    "spoofing",
    "tasks",
]
