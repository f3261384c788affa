"""`POST /files/compose`: put files together into one, and remove the parts."""

import asyncio
import os
import uuid
from contextlib import closing, suppress
from pathlib import Path

from aiohttp import web

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.connect import Message, field, read_unary
from local.sandboxes.envd.downloads import open_regular
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.paths import resolve

MAX_PARTS = 10_000
_PIECE_BYTES = 16 * 1024 * 1024


async def compose(guest: Guest, request: web.BaseRequest) -> web.Response:
    """Write the files of `source_paths`, one after the other, to `destination`.

    Either all is done or nothing: what was at the destination stays until the new file is whole.
    """
    message = await read_unary(request)
    account = guest.accounts.find(field(message, "username", str, "") or guest.accounts.default)
    destination = _path(message.get("destination"), "destination", account)
    sources = _sources(message, account)
    if destination in sources:
        raise ConnectError("invalid_argument", f"'{destination}' is both a part and the destination")
    for source in sources:
        open_regular(source, account, os.O_RDONLY).close()
    new = destination.with_name(f".{uuid.uuid4().hex}.compose")
    try:
        with acting_as(account):
            destination.parent.mkdir(parents=True, exist_ok=True)
        await _write(sources, new, account)
        with acting_as(account):
            new.rename(destination)
    except BaseException:
        with acting_as(account), suppress(FileNotFoundError):
            new.unlink()
        raise
    with acting_as(account):
        for source in set(sources):
            source.unlink(missing_ok=True)
    return web.json_response({"name": destination.name, "type": "file", "path": str(destination)})


def _sources(message: Message, account: Account) -> list[Path]:
    given = field(message, "source_paths", list, [])
    if not 1 <= len(given) <= MAX_PARTS:
        raise ConnectError("invalid_argument", f"'source_paths' must name 1 to {MAX_PARTS} files")
    return [_path(each, "source_paths", account) for each in given]


def _path(value: object, name: str, account: Account) -> Path:
    if not isinstance(value, str) or not value:
        raise ConnectError("invalid_argument", f"'{name}' must name a path")
    return resolve(value, account)


async def _write(sources: list[Path], new: Path, account: Account) -> None:
    with closing(open_regular(new, account, os.O_WRONLY | os.O_CREAT | os.O_EXCL)) as target:
        for source in sources:
            with closing(open_regular(source, account, os.O_RDONLY)) as part:
                # Inside the kernel; file systems that can share the blocks copy none.
                while os.copy_file_range(part.fileno(), target.fileno(), _PIECE_BYTES):  # noqa: ASYNC110
                    await asyncio.sleep(0)  # Others get their turn between the pieces.
