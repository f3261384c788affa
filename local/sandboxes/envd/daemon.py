"""The daemon itself: which request goes to which service, served on one Unix socket."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NoReturn

from aiohttp import web

from local.sandboxes.envd import filesystem_service as filesystem
from local.sandboxes.envd.accounts import DEFAULT_USER, Account, Accounts
from local.sandboxes.envd.confine import Confinement, confine
from local.sandboxes.envd.connect import Message, answer, answer_stream, field, frame, read_unary, refuse
from local.sandboxes.envd.errors import ConnectError, from_os_error
from local.sandboxes.envd.files import handle_files
from local.sandboxes.envd.guest import DEFAULT_ENVIRONMENT, Guest
from local.sandboxes.envd.process_service import ProcessService
from local.sandboxes.envd.reaper import Reaper
from local.sandboxes.envd.watch_service import WatchService

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Unary = Callable[[Message], Awaitable[Message]]
FileCall = Callable[[Message, Account], Message]
Stream = Callable[[web.BaseRequest], Awaitable[AsyncGenerator[bytes, None]]]

MAX_LINE_BYTES = 16 * 1024
"""Room for a path of 4,096 bytes, each percent-encoded, in a request line."""

_WARM_UP = b"POST /process.Process/Connect HTTP/1.1\r\nHost: envd\r\nContent-Length: 7\r\n\r\n" + frame(b"{}")


async def serve(
    listener: socket.socket, confinement: Confinement, env: Mapping[str, str] = DEFAULT_ENVIRONMENT
) -> None:
    """Serve on `listener` for ever, as root of the sandbox and its first process.

    `env` is what the environment of every command contains, whoever runs it.
    """
    await _serve(listener, Guest(Accounts(confinement.privileges), partial(confine, confinement), env))


def run(listener: socket.socket, guest: Guest) -> NoReturn:
    """Serve `guest` on a listening Unix socket for ever."""
    asyncio.run(_serve(listener, guest))
    raise SystemExit(0)


async def warm_up() -> None:
    """Answer a request of our own, so that what this takes is in memory. Starts no thread."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    server = _server(Guest(Accounts(), lambda: None), Reaper())
    await loop.connect_accepted_socket(server, theirs)
    with ours:
        # Not asyncio's streams: each page that they touch would be copied into the sandbox.
        ours.setblocking(False)
        ours.send(_WARM_UP)
        await loop.sock_recv(ours, 4096)
    await server.shutdown()


async def _serve(listener: socket.socket, guest: Guest) -> None:
    os.set_inheritable(listener.fileno(), False)
    os.umask(0o022)
    # Commands share their user with a thread of ours and may signal it: no handler, nothing happens to pid 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    reaper = Reaper()
    reaper.start()
    await asyncio.get_running_loop().create_unix_server(_server(guest, reaper), sock=listener)
    with suppress(ConnectError):
        guest.spawner(guest.accounts.find(DEFAULT_USER))
    await asyncio.Event().wait()


def _server(guest: Guest, reaper: Reaper) -> web.Server:
    return web.Server(
        partial(_handle, _routes(guest, ProcessService(guest, reaper))),
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        max_line_size=MAX_LINE_BYTES,
    )


def _routes(guest: Guest, processes: ProcessService) -> dict[tuple[str, str], Handler]:
    watches = WatchService(guest)
    unary: dict[str, Unary] = {
        "List": processes.list,
        "SendInput": processes.send_input,
        "Update": processes.update,
        "SendSignal": processes.send_signal,
        "CloseStdin": processes.close_stdin,
    }
    streams: dict[str, Stream] = {
        "Start": processes.start,
        "Connect": processes.connect,
        "StreamInput": processes.stream_input,
    }
    files: dict[str, FileCall] = {
        "Stat": filesystem.stat_entry,
        "ListDir": filesystem.list_dir,
        "MakeDir": filesystem.make_dir,
        "Move": filesystem.move,
        "Remove": filesystem.remove,
        "CreateWatcher": watches.create,
        "GetWatcherEvents": watches.events,
        "RemoveWatcher": watches.remove,
    }
    return {
        ("GET", "/health"): _health,
        ("GET", "/envs"): partial(_envs, guest),
        ("POST", "/init"): partial(_init, guest),
        ("GET", "/files"): partial(handle_files, guest),
        ("POST", "/files"): partial(handle_files, guest),
        ("POST", "/files/compose"): partial(handle_files, guest),
        ("POST", "/filesystem.Filesystem/WatchDir"): partial(_stream, watches.watch_dir),
        **{("POST", f"/process.Process/{name}"): partial(_unary, call) for name, call in unary.items()},
        **{("POST", f"/process.Process/{name}"): partial(_stream, call) for name, call in streams.items()},
        **{
            ("POST", f"/filesystem.Filesystem/{name}"): partial(_file_call, guest, call)
            for name, call in files.items()
        },
    }


async def _handle(routes: dict[tuple[str, str], Handler], request: web.BaseRequest) -> web.StreamResponse:
    try:
        return await routes.get((request.method, request.path), _not_supported)(request)
    except ConnectError as error:
        return refuse(error)
    except OSError as error:
        return refuse(from_os_error(error))


async def _not_supported(request: web.BaseRequest) -> web.StreamResponse:
    raise ConnectError("unimplemented", f"{request.method} {request.path} is not supported by this server")


async def _unary(call: Unary, request: web.BaseRequest) -> web.StreamResponse:
    return answer(await call(await read_unary(request)))


async def _stream(call: Stream, request: web.BaseRequest) -> web.StreamResponse:
    return await answer_stream(request, call(request))


async def _file_call(guest: Guest, call: FileCall, request: web.BaseRequest) -> web.StreamResponse:
    account = guest.accounts.of_basic_auth(request.headers.get("Authorization"))
    return answer(call(await read_unary(request), account))


async def _health(_: web.BaseRequest) -> web.Response:
    return web.Response(status=204)


async def _envs(guest: Guest, _: web.BaseRequest) -> web.Response:
    return web.json_response(guest.envs)


async def _init(guest: Guest, request: web.BaseRequest) -> web.Response:
    # Reached by the sandbox server only: it forwards no client to this route.
    message = await read_unary(request)
    envs = field(message, "envVars", dict, {})
    guest.envs = {str(name): str(value) for name, value in envs.items()}
    guest.accounts = replace(
        guest.accounts,
        default=field(message, "defaultUser", str, "") or DEFAULT_USER,
        workdir=field(message, "defaultWorkdir", str, ""),
    )
    return web.Response(status=204)
