"""`filesystem.Filesystem`, its watches: changes as a stream, or kept until the client asks for them."""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from aiohttp import web

from local.sandboxes.envd.accounts import Account, acting_as
from local.sandboxes.envd.connect import (
    Message,
    field,
    frame,
    keepalive_seconds,
    read_request,
    timeout_seconds,
)
from local.sandboxes.envd.entries import EntryReader
from local.sandboxes.envd.errors import ConnectError, from_os_error
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.inotify import DirectoryWatch
from local.sandboxes.envd.paths import resolve
from local.sandboxes.envd.subscription import Subscription

MAX_KEPT = 10_000
"""How many changes wait for a client that asks; the oldest give way."""

_KEEPALIVE = frame(b'{"keepalive":{}}')


class WatchService:
    """The watches that clients hold in this sandbox."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._kept: dict[str, tuple[DirectoryWatch, deque[Message]]] = {}

    async def watch_dir(self, request: web.BaseRequest) -> AsyncGenerator[bytes, None]:
        """Stream the changes of a directory from now on."""
        account = self._guest.accounts.of_basic_auth(request.headers.get("Authorization"))
        message, seconds = await read_request(request), timeout_seconds(request)
        listener = Subscription(lambda: watch.resume(), _KEEPALIVE)  # noqa: PLW0108 - made below

        def tell(change: Message) -> None:
            listener.put(_encode({"filesystem": change}))
            if listener.full:
                watch.pause()

        listener.put(_encode({"start": {}}))
        watch = _watch(message, account, tell, lambda: listener.finish(_too_many()))
        if seconds is not None:
            error = ConnectError("deadline_exceeded", f"the watch was open for its {seconds:g} s")
            asyncio.get_running_loop().call_later(seconds, listener.finish, error)
        return _follow(watch, listener, keepalive_seconds(request))

    def create(self, message: Message, account: Account) -> Message:
        """Keep the changes of a directory until they are asked for."""
        changes: deque[Message] = deque(maxlen=MAX_KEPT)
        watch = _watch(message, account, changes.append, changes.clear)
        watcher_id = uuid.uuid4().hex
        self._kept[watcher_id] = watch, changes
        return {"watcherId": watcher_id}

    def events(self, message: Message, _: Account) -> Message:
        """Hand over the changes since the last time."""
        changes = self._find(message)[1]
        found = list(changes)
        changes.clear()
        return {"events": found}

    def remove(self, message: Message, _: Account) -> Message:
        """Watch no more."""
        self._find(message)[0].close()
        del self._kept[field(message, "watcherId", str, "")]
        return {}

    def _find(self, message: Message) -> tuple[DirectoryWatch, deque[Message]]:
        watcher_id = field(message, "watcherId", str, "")
        if watcher_id not in self._kept:
            raise ConnectError("not_found", f"there is no watcher '{watcher_id}'")
        return self._kept[watcher_id]


def _watch(
    message: Message, account: Account, on_change: Callable[[Message], None], on_overflow: Callable[[], None]
) -> DirectoryWatch:
    top = resolve(field(message, "path", str, ""), account)
    with_entry, entries = field(message, "includeEntry", bool, default=False), EntryReader()

    def tell(kind: str, name: str) -> None:
        change: Message = {"name": name, "type": kind}
        if with_entry:
            with suppress(OSError), acting_as(account):
                change["entry"] = entries.read(top / name)
        on_change(change)

    recursive = field(message, "recursive", bool, default=False)
    try:
        return DirectoryWatch(top, account, recursive=recursive, on_change=tell, on_overflow=on_overflow)
    except NotADirectoryError:
        raise ConnectError("invalid_argument", f"path '{top}' is not a directory") from None
    except OSError as error:
        raise from_os_error(error) from None


async def _follow(
    watch: DirectoryWatch, listener: Subscription, seconds: float
) -> AsyncGenerator[bytes, None]:
    try:
        async for each in listener.frames(seconds):
            yield each
    finally:
        watch.close()


def _encode(event: Message) -> bytes:
    return frame(json.dumps(event, separators=(",", ":")).encode())


def _too_many() -> ConnectError:
    return ConnectError("resource_exhausted", "more changed than the watch could tell: list the directory")
