"""`GET /files`: a file's bytes, whole or a range, plain or gzipped."""

import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import IO

from aiohttp import web

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.gunzip import WBITS
from local.sandboxes.envd.paths import check_not_of_envd, resolve

CHUNK_BYTES = 256 * 1024


def open_regular(path: Path, account: Account, flags: int) -> IO[bytes]:
    """Open a regular file as the account; never waits, also not for a pipe without a peer.

    Raises `OSError`, and `ConnectError` for anything but a regular file.
    """
    with acting_as(account):
        # Emptied only once it is known what it is.
        wanted = flags & ~os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        fd = os.open(path, wanted, 0o666)
    try:
        _check_regular(fd, path)
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return os.fdopen(fd, "rb" if flags == os.O_RDONLY else "wb", buffering=0)


def _check_regular(fd: int, path: Path) -> None:
    check_not_of_envd(fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise ConnectError("invalid_argument", f"path '{path}' is not a regular file")


async def download(request: web.BaseRequest, path: str, account: Account) -> web.StreamResponse:
    """Answer with the file at `path`."""
    if not path:
        raise ConnectError("invalid_argument", "the query must name a 'path'")
    with closing(open_regular(resolve(path, account), account, os.O_RDONLY)) as file:
        size = os.fstat(file.fileno()).st_size
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        wanted = _range(request.headers.get("Range", ""), size)
        if wanted is None and _accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return await _send(request, web.StreamResponse(headers=headers), _gzipped(file))
        if wanted is not None and not wanted:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        span = range(size) if wanted is None else wanted
        response = web.StreamResponse(status=200 if wanted is None else 206, headers=headers)
        if wanted:
            response.headers["Content-Range"] = f"bytes {span[0]}-{span[-1]}/{size}"
        response.content_length = len(span)
        file.seek(span.start)
        return await _send(request, response, _chunks(file, len(span)))


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, chunks: Iterator[bytes]
) -> web.StreamResponse:
    first = next(chunks, b"")  # What can not be read at all is refused by a status.
    await response.prepare(request)
    try:
        for chunk in chain([first] if first else [], chunks):
            await response.write(chunk)
    except OSError as error:
        # An answer has begun: only the end of the connection tells that there is no more.
        if request.transport:
            request.transport.abort()
        raise ConnectError("internal", "the file could not be read to its end") from error
    await response.write_eof()
    return response


def _chunks(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := file.read(min(CHUNK_BYTES, length))):
        length -= len(chunk)
        yield chunk
    if length:
        # The file shrank: a short body under a longer length would look like a broken sandbox.
        yield bytes(length)


def _gzipped(file: IO[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(level=1, wbits=WBITS)
    while chunk := file.read(CHUNK_BYTES):
        if packed := compressor.compress(chunk):
            yield packed
    yield compressor.flush()


def _accepts_gzip(header: str) -> bool:
    offers = {part.partition(";")[0].strip(): part for part in header.lower().split(",")}
    return "gzip" in offers and not re.search(r"q=0(\.0*)?\s*$", offers["gzip"])


def _range(header: str, size: int) -> range | None:
    """The bytes of a single range; empty if unsatisfiable, `None` for no or no such range."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1 if last else size))
