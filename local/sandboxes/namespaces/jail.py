"""The first process of a sandbox: prepares a jail, waits for its claim, locks itself in and serves envd."""

import os
import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from local.sandboxes.engine import Limits
from local.sandboxes.envd.confine import ENVD_CAPABILITIES, ENVD_OOM_SCORE, Confinement
from local.sandboxes.namespaces import btrfs, syscalls
from local.sandboxes.namespaces.cgroups import Cgroup, find_cgroup
from local.sandboxes.namespaces.identity import become_root_of, make_user_namespace, owner_of
from local.sandboxes.namespaces.link import connect_namespace
from local.sandboxes.namespaces.mounts import enter_root, stage_file_systems
from local.sandboxes.namespaces.netlink import Netlink
from local.sandboxes.namespaces.plans import Claim, Plan
from local.sandboxes.rootfs import FIRST_UID

Serve = Callable[[socket.socket, Confinement, dict[str, str]], NoReturn]

PREPARED, READY, FAILED = b"prepared", b"ready", b"failed: "
"""What a jail says on its control socket; after `FAILED` follows why."""

MAX_MESSAGE = 64 * 1024
_NICE = 10  # While it prepares itself nobody waits for it, and running sandboxes do the work that counts.
_MIB = 1024 * 1024


def run_jail(
    plan: Plan, control: socket.socket, listener: socket.socket, serve: Serve, filters: tuple[bytes, ...]
) -> NoReturn:
    """Become a sandbox, as the first process of a new process namespace. Ends with it, never returns."""
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _close_all_but(control.fileno(), listener.fileno())
        cgroup = find_cgroup(plan.cgroup)
        namespace = _prepare(plan, cgroup)
        control.send(PREPARED)
        claim = Claim.load(_receive(control))
        _enter(plan, claim, cgroup, namespace, filters)
        control.send(READY)
        control.close()
    except BaseException as error:  # noqa: BLE001 (nobody above could handle it)
        _report(control, error)
        os._exit(1)
    sudo = claim.privileges == "sudo"
    confinement = Confinement(claim.privileges, () if sudo else filters, claim.limits.open_files)
    serve(listener, confinement, claim.env)


def _prepare(plan: Plan, cgroup: Cgroup) -> int:
    """Do all that needs no claim, and return the user namespace to enter last."""
    os.nice(_NICE)
    cgroup.create()
    cgroup.limit(plan.limits)
    cgroup.join()
    # Set while it may: nothing in the sandbox can get below it, so the host loses a sandbox first.
    Path("/proc/self/oom_score_adj").write_text(str(ENVD_OOM_SCORE))
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
    stage_file_systems(plan.stage, cgroup, plan.resolv_conf)
    return make_user_namespace("proc", owner_of(plan.address))


def _make_disk(plan: Plan) -> None:
    disk = Path(plan.subvolume)
    btrfs.create_subvolume(disk)
    btrfs.limit_subvolume(disk, plan.limits.disk_mb * _MIB)
    (disk / "work").mkdir()
    (disk / "upper").mkdir()
    os.chown(disk / "upper", FIRST_UID, FIRST_UID)


def _enter(plan: Plan, claim: Claim, cgroup: Cgroup, namespace: int, filters: tuple[bytes, ...]) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    if claim.limits != plan.limits:
        _apply(claim.limits, plan, cgroup)
    sudo = claim.privileges == "sudo"
    enter_root(claim.layers, plan.subvolume, set_uid=sudo)
    os.environ.clear()
    os.environ.update(claim.env)
    # With sudo, envd is under the filters itself: see `confine`.
    become_root_of(namespace, ENVD_CAPABILITIES, filters if sudo else ())


def _apply(limits: Limits, plan: Plan, cgroup: Cgroup) -> None:
    cgroup.limit(limits)
    btrfs.limit_subvolume(Path(plan.subvolume), limits.disk_mb * _MIB)


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
