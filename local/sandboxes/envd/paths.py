"""Paths as clients write them: absolute, or relative to the account's home."""

import os
from pathlib import Path

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.errors import ConnectError


def resolve(path: str, account: Account) -> Path:
    """Make `path` absolute. Links are left to the kernel, which follows them inside the sandbox only."""
    if "\0" in path:
        raise ConnectError("invalid_argument", "a path can not contain NUL")
    if path == "~" or path.startswith("~/"):
        path = account.home + path[1:]
    return Path("/" + os.path.normpath(Path(account.home, path)).lstrip("/"))
