"""Paths as clients write them: absolute, or relative to where the account starts."""

import os
from pathlib import Path

from local.sandboxes.envd.accounts import Account
from local.sandboxes.envd.errors import ConnectError


def resolve(path: str, account: Account) -> Path:
    """Make `path` absolute. Links are left to the kernel, which follows them inside the sandbox only."""
    check_text(path)
    if path == "~" or path.startswith("~/"):
        path = account.home + path[1:]
    return Path("/" + os.path.normpath(Path(account.workdir or account.home, path)).lstrip("/"))


def check_text(text: str) -> None:
    """Raise `ConnectError` for what JSON can say and no path, argument or variable can hold."""
    if "\0" in text:
        raise ConnectError("invalid_argument", "a path or argument can not contain NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConnectError("invalid_argument", "a path or argument must be valid Unicode") from None
