"""Puts the locale of every sandbox into an archive: one file, where each program would open twelve.

A login shell is up a fifth sooner for it, and every command of the SDKs is one.
"""

import subprocess
from pathlib import Path

from local.sandboxes.engine import EngineError

FOLDER = Path("usr/lib/locale")
_LOCALE = FOLDER / "C.utf8"

# With its own program, as the archive is its C library's; in a mount namespace, as the system stays as it is.
_ARCHIVE = """
set -e
mount --bind "$2" "$1/mnt"
exec chroot "$1" /usr/bin/localedef --prefix=/mnt --add-to-archive "/$3"
"""


def has_locale(system: Path) -> bool:
    """Tell whether a root filesystem has the locale."""
    return (system / _LOCALE).is_dir()


def archive_locale(system: Path, tree: Path) -> None:
    """Write the archive of the root filesystem `system` below `tree`, where its folder is.

    Raises `EngineError` if it can not be made.
    """
    script = ("unshare", "--mount", "/bin/sh", "-c", _ARCHIVE, "sh")
    command = [*script, str(system), str(tree), str(_LOCALE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise EngineError(f"building the root filesystem: no locale archive:\n{ended.stderr[-2000:]}")
