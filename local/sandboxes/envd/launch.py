"""Carries out an order to start a process: whoever it names, where and with what it says."""

import os
from contextlib import closing
from pathlib import Path

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.command import Command, Standard
from local.sandboxes.envd.control import Order
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.paths import resolve_text


def launch(guest: Guest, order: Order, fds: list[int]) -> int:
    """Start a process and return its id. Its ends of pipes or terminal are closed here in any case.

    Raises `ConnectError` if its user, its directory or its program does not exist.
    """
    with closing(_standard(order, fds)) as standard:
        account = guest.accounts.find(order["user"] or guest.accounts.default)
        argv, cwd = tuple(order["argv"]), resolve_text(order["cwd"], account)
        command = Command(argv, guest.environment(account, order["envs"]), cwd)
        if standard.terminal:
            os.fchown(standard.stdin, account.uid, -1)
        try:
            return guest.spawner(account).spawn(command, standard)
        except OSError as error:
            _check_directory(Path(cwd), account)
            raise ConnectError(
                "invalid_argument", f"'{argv[0]}' can not be started: {error.strerror}"
            ) from None


def _standard(order: Order, fds: list[int]) -> Standard:
    """A terminal's one descriptor, or those of stdout, stderr and, where it is wanted, stdin."""
    if len(fds) != order["descriptors"]:
        for fd in fds:
            os.close(fd)
        raise ConnectError("resource_exhausted", "too many files are open in this sandbox's first process")
    if order["terminal"]:
        return Standard(fds[0], fds[0], fds[0], terminal=True)
    stdout, stderr, *stdin = fds
    return Standard(stdin[0] if stdin else os.open(os.devnull, os.O_RDONLY), stdout, stderr)


def _check_directory(path: Path, account: Account) -> None:
    with acting_as(account):
        if not path.is_dir():
            raise ConnectError("invalid_argument", f"cwd '{path}' does not exist")
