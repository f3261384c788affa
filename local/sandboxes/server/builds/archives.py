"""Files that clients upload for COPY steps: archives by the hash of what they hold, put to signed URLs."""

import hashlib
import hmac
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from local.sandboxes.server.access import new_id, same
from local.sandboxes.server.errors import ApiError

MAX_BYTES = 1024**3
KEPT_SECONDS = 86_400
"""How long an archive that nobody asks for is kept: longer than any build that may still copy from it."""
_URL_SECONDS = 3600
_CHUNK_BYTES = 256 * 1024
_PATH = re.compile(r"/templates/[^/]+/files/[0-9a-f]{16,128}")


class Archives:
    """A folder of archives. `key` signs the URLs to put them to."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key.encode()

    def path(self, files_hash: str) -> Path:
        """Where an archive is, or would be."""
        return self._folder / files_hash

    def has(self, files_hash: str) -> bool:
        """Whether it was uploaded whole. To ask for an archive is to keep it longer."""
        try:
            os.utime(self.path(files_hash))
        except FileNotFoundError:
            return False
        return True

    def query(self, path: str) -> dict[str, str]:
        """What opens a path for one upload within the hour."""
        expiry = str(int(time.time()) + _URL_SECONDS)
        return {"expiry": expiry, "signature": self._sign(path, expiry)}

    def is_open(self, request: web.Request) -> bool:
        """Whether a request is an upload to a URL that was signed for it."""
        path, expiry = request.path, request.query.get("expiry", "")
        if request.method != "PUT" or not _PATH.fullmatch(path) or not expiry.isdecimal():
            return False
        signed = same(request.query.get("signature"), self._sign(path, expiry))
        return signed and int(expiry) >= time.time()

    async def store(self, files_hash: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep an upload once it is whole. Raises `ApiError` if it is too large."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._drop_unused()
        partial = self._folder / new_id("partial-")
        try:
            with partial.open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
                    if file.tell() > MAX_BYTES:
                        raise ApiError(413, f"the files are too large: {MAX_BYTES} bytes are the most")
            partial.replace(self.path(files_hash))
        finally:
            partial.unlink(missing_ok=True)

    async def read(self, files_hash: str) -> AsyncIterator[bytes]:
        """An archive's content."""
        with self.path(files_hash).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def _drop_unused(self) -> None:
        oldest = time.time() - KEPT_SECONDS
        for path in self._folder.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink()

    def _sign(self, path: str, expiry: str) -> str:
        return hmac.new(self._key, f"PUT {path} {expiry}".encode(), hashlib.sha256).hexdigest()
