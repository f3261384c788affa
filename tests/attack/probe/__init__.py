"""The attack probe: acts as a hostile agent inside a sandbox and tells what it could not do.

It needs nothing but Python's standard library, so that it runs in any sandbox.
"""

from . import (
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
    processes,
    sockets,
    spoofing,
    tasks,
)
from .attempts import ATTEMPTS, Attempt, Weakness
from .targets import Limits, Target

__all__ = [
    "ATTEMPTS",
    "Attempt",
    "Limits",
    "Target",
    "Weakness",
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
    "processes",
    "sockets",
    "spoofing",
    "tasks",
]
