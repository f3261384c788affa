"""The server's connections to one sandbox's daemon."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

Body = bytes | AsyncIterator[bytes] | None

CONNECT_SECONDS = 5
_ORIGIN = "http://envd"


class Upstream:
    """An HTTP client on the daemon's Unix socket, with connections that are kept."""

    def __init__(self, socket: Path) -> None:
        self.closed = False
        self._users: set[asyncio.Task[Any]] = set()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket), limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            # The daemon gets what the client sent, and nothing that this library would add.
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    def request(
        self, method: str, path: str, *, headers: CIMultiDict[str] | None = None, data: Body = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begin a request; `path` is sent as it stands, with its query."""
        url = URL(_ORIGIN + path, encoded=True)
        return self._session.request(method, url, headers=headers, data=data, allow_redirects=False)

    async def initialise(self, envs: dict[str, str], *, user: str = "", workdir: str = "") -> None:
        """Tell the daemon what every command's environment contains, who runs it and where."""
        wish = {"envVars": envs, "defaultUser": user, "defaultWorkdir": workdir}
        async with self.request("POST", "/init", data=json.dumps(wish).encode()) as response:
            response.raise_for_status()

    async def answers(self) -> bool:
        """Whether the daemon is well, and says so soon."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS), self.request("GET", "/health") as response:
                return response.ok
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

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
        """Drop every connection at once, and cancel the tasks that wait for one."""
        self.closed = True
        for task in self._users:
            task.cancel()
        await self._session.close()
