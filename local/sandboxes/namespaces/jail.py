"""The first process of a sandbox: prepares a jail, waits for its claim, locks itself in and serves."""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter
from pathlib import Path
from typing import NoReturn

from local.sandboxes.engine import Limits
from local.sandboxes.envd.confine import ENVD_CAPABILITIES, ENVD_OOM_SCORE, Confinement
from local.sandboxes.kernel_files import write_kernel_file
from local.sandboxes.namespaces import btrfs, syscalls
from local.sandboxes.namespaces.cgroups import Cgroup, find_cgroup
from local.sandboxes.namespaces.identity import Identity, become_root_of, make_identity
from local.sandboxes.namespaces.link import connect_namespace
from local.sandboxes.namespaces.mounts import enter_root, stage_file_systems
from local.sandboxes.namespaces.netlink import Netlink
from local.sandboxes.namespaces.plans import Claim, Plan
from local.sandboxes.rootfs import FIRST_UID


@dataclass(frozen=True)
class GuestCode:
    """What a jail runs once it is locked in, and the filters for what that starts."""

    serve: Callable[[socket.socket, socket.socket, Confinement, dict[str, str]], NoReturn]
    filters: tuple[bytes, ...]


PREPARED, READY, FAILED = b"prepared", b"ready", b"failed: "
"""What a jail says on its control socket; after `FAILED` follows why."""

MAX_MESSAGE = 64 * 1024
_NICE = 10  # While it prepares itself nobody waits for it, and running sandboxes do the work that counts.
_MIB = 1024 * 1024


def run_jail(plan: Plan, control: socket.socket, listener: socket.socket, guest: GuestCode) -> NoReturn:
    """Become a sandbox, as the first process of a new process namespace. Ends with it, never returns."""
    try:
        cgroup = find_cgroup(plan.cgroup)
        identity = _prepare(plan, cgroup)
        control.send(PREPARED)
        claim = Claim.load(_receive(control))
        _enter(plan, claim, cgroup, identity, guest.filters)
        control.send(READY)
    except BaseException as error:  # noqa: BLE001 (nobody above could handle it)
        _report(control, error)
        os._exit(1)
    filters = () if claim.privileges == "sudo" else guest.filters
    confinement = Confinement(claim.privileges, filters, claim.limits.open_files)
    guest.serve(control, listener, confinement, claim.env)


def begin_jail(*sockets: socket.socket) -> None:
    """Cut what ties a process just forked to the zygote, but for the sockets."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _close_all_but(*(each.fileno() for each in sockets))
    syscalls.rename_process("envd")


def _prepare(plan: Plan, cgroup: Cgroup) -> Identity:
    """Do all that needs no claim, and return who to become last."""
    os.nice(_NICE)
    cgroup.create()
    cgroup.limit(plan.limits)
    cgroup.join()
    # Set while it may: nothing in the sandbox can get below it, so the host loses a sandbox first.
    write_kernel_file("/proc/self/oom_score_adj", str(ENVD_OOM_SCORE))
    _make_disk(plan)
    host = Netlink()
    syscalls.unshare(
        syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWUTS
        | syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWCGROUP
    )
    connect_namespace(host, plan)
    host.close()
    socket.sethostname("sandbox")
    stage_file_systems(plan, cgroup)
    return make_identity("proc", plan.first_uid)


def _make_disk(plan: Plan) -> None:
    disk = Path(plan.subvolume)
    btrfs.create_subvolume(disk)
    btrfs.limit_subvolume(disk, plan.limits.disk_mb * _MIB)
    (disk / "work").mkdir()
    (disk / "upper").mkdir()
    os.chown(disk / "upper", FIRST_UID, FIRST_UID)


def _enter(plan: Plan, claim: Claim, cgroup: Cgroup, identity: Identity, filters: tuple[bytes, ...]) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    if claim.limits != plan.limits:
        _apply(claim.limits, plan, cgroup)
    import_nothing_more()
    sudo = claim.privileges == "sudo"
    enter_root(claim.layers, plan.subvolume, identity.shift, set_uid=sudo)
    os.environ.clear()
    os.environ.update(claim.env)
    # With sudo, envd is under the filters itself: see `confine`.
    become_root_of(identity.own, ENVD_CAPABILITIES, filters if sudo else ())


def _apply(limits: Limits, plan: Plan, cgroup: Cgroup) -> None:
    cgroup.limit(limits)
    btrfs.limit_subvolume(Path(plan.subvolume), limits.disk_mb * _MIB)


def import_nothing_more() -> None:
    """Let this process import no further file: in a sandbox, our folders' names may belong to the agent."""
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]


def _receive(control: socket.socket) -> bytes:
    message = control.recv(MAX_MESSAGE)
    if not message:
        os._exit(0)  # The server is gone, or needs this jail no longer.
    return message


def _report(control: socket.socket, error: BaseException) -> None:
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    control.send(FAILED + text.encode()[:4096])


def _close_all_but(*kept: int) -> None:
    low = 2
    for fd in sorted(kept):
        os.closerange(low + 1, fd)
        low = fd
    os.closerange(low + 1, 1 << 30)
