"""Opens terminals of a sandbox from outside: both sides are the server's own, and nobody inside has ours."""

import fcntl
import os
import struct

from local.sandboxes.namespaces.zygote_client import Forked, has_ended
from local.sandboxes.processes.streams import Terminal

_TIOCGPTPEER, _TIOCSPTLCK = 0x5441, 0x4004_5431
_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


def open_terminal_of(jail: Forked) -> Terminal:
    """Open a terminal of a jail's own file system of terminals. Raises `OSError` if it has no more.

    Nothing inside can put another file there: both folders are mount points, and no sandbox may unmount.
    """
    ours = os.open(f"/proc/{jail.pid}/root/dev/pts/ptmx", _FLAGS | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _check_alive(jail)  # Its number may be another process's by now.
        fcntl.ioctl(ours, _TIOCSPTLCK, struct.pack("i", 0))
        return ours, fcntl.ioctl(ours, _TIOCGPTPEER, _FLAGS)
    except BaseException:
        os.close(ours)
        raise


def _check_alive(jail: Forked) -> None:
    if has_ended(jail.pidfd):
        raise ProcessLookupError("the sandbox has ended")
