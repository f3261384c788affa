"""`POST /files`: write files from a form, or one from a raw body, plain or gzipped."""

import errno
import os
import re
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.downloads import CHUNK_BYTES, open_regular
from local.sandboxes.envd.entries import METADATA_PREFIX
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.gunzip import Gunzip
from local.sandboxes.envd.paths import resolve

_METADATA_HEADER = "x-metadata-"
MAX_FILES = 10_000


async def upload(request: web.BaseRequest, path: str, account: Account) -> web.Response:
    """Write each file of the request; `path` names a single one, else the form's parts do."""
    metadata = {
        name.lower().removeprefix(_METADATA_HEADER): value
        for name, value in request.headers.items()
        if name.lower().startswith(_METADATA_HEADER)
    }
    written = [
        await _write(resolve(each, account), account, chunks, metadata)
        async for each, chunks in _bodies(request, path)
    ]
    if not written:
        raise ConnectError("invalid_argument", "the form has no file: name its part 'file'")
    return web.json_response(written)


async def _bodies(request: web.BaseRequest, path: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    if not request.content_type.startswith("multipart/"):
        if not path:
            raise ConnectError("invalid_argument", "the query must name a 'path'")
        yield path, _decoded(request)
        return
    count = 0
    async for part in _parts(request):
        if not isinstance(part, BodyPartReader) or part.name != "file":
            continue
        count += 1
        if count > MAX_FILES or (path and count > 1):
            raise ConnectError("invalid_argument", f"too many files: {1 if path else MAX_FILES} at most")
        name = path or _filename(part)
        if not name:
            raise ConnectError("invalid_argument", "a file of the form has no name")
        yield name, _part_chunks(part)


async def _parts(request: web.BaseRequest) -> AsyncIterator[object]:
    try:
        async for part in await request.multipart():
            yield part
    except (ValueError, HttpProcessingError) as error:
        raise ConnectError("invalid_argument", f"the form is malformed: {error}") from None


def _filename(part: BodyPartReader) -> str:
    """The name as it was sent: httpx escapes only what would end the quoted string."""
    disposition = part.headers.get("Content-Disposition", "")
    match = re.search(r'filename="((?:[^"\\]|\\.)*)"', disposition)
    if not match:
        return part.filename or ""
    return re.sub(r"\\(.)", r"\1", match[1]).replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


async def _part_chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    try:
        while chunk := await part.read_chunk(CHUNK_BYTES):
            yield chunk
    except ValueError as error:
        raise ConnectError("invalid_argument", f"the form is malformed: {error}") from None


async def _decoded(request: web.BaseRequest) -> AsyncIterator[bytes]:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise ConnectError("invalid_argument", f"Content-Encoding '{encoding}' is not supported: use gzip")
    gunzip = Gunzip()
    async for chunk in request.content.iter_any():
        if encoding == "identity":
            yield chunk
        else:
            for plain in gunzip.feed(chunk):
                yield plain
    if encoding == "gzip":
        gunzip.check_end()


async def _write(
    path: Path, account: Account, chunks: AsyncIterator[bytes], metadata: dict[str, str]
) -> dict[str, Any]:
    with acting_as(account):
        path.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_regular(path, account, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)) as file:
        async for chunk in chunks:
            _write_all(file.fileno(), chunk)
        _note(file.fileno(), metadata)
    entry: dict[str, Any] = {"name": path.name, "type": "file", "path": str(path)}
    return entry | ({"metadata": metadata} if metadata else {})


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _note(fd: int, metadata: dict[str, str]) -> None:
    try:
        for name, value in metadata.items():
            os.setxattr(fd, METADATA_PREFIX + name, value.encode())
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            raise ConnectError("invalid_argument", "this filesystem keeps no metadata on files") from None
        raise
