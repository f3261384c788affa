"""The server's ways to one sandbox: the line to its first process, and HTTP to its daemon for files."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from local.sandboxes.engine import EngineSandbox

Body = bytes | AsyncIterator[bytes] | None

CONNECT_SECONDS = 5
_ORIGIN = "http://envd"


class Upstream:
    """What clients reach of a running sandbox, until it ends or is paused."""

    def __init__(self, guest: EngineSandbox) -> None:
        self.processes = guest.processes
        self.closed = False
        self._socket = guest.envd_socket
        self._users: set[asyncio.Task[Any]] = set()
        self._session: aiohttp.ClientSession | None = None

    def request(
        self, method: str, path: str, *, headers: CIMultiDict[str] | None = None, data: Body = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begin a request about files; `path` is sent as it stands, with its query."""
        url = URL(_ORIGIN + path, encoded=True)
        # Most sandboxes are never asked for a file.
        self._session = self._session or self._open_session()
        return self._session.request(method, url, headers=headers, data=data, allow_redirects=False)

    async def answers(self) -> bool:
        """Whether its first process is well, and says so soon."""
        return await self.processes.line.answers(CONNECT_SECONDS)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let `close` cancel the running task while it is in the block."""
        if (task := asyncio.current_task()) is None:
            raise RuntimeError("an upstream is used by a task")
        self._users.add(task)
        try:
            yield
        finally:
            self._users.discard(task)

    async def close(self) -> None:
        """Drop every connection at once, and cancel the tasks that wait for an answer."""
        self.closed = True
        for task in self._users:
            task.cancel()
        if self._session:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self._socket), limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            # The daemon gets what the client sent, and nothing that this library would add.
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
