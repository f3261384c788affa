"""What a sandbox answers about its files: which request goes to which service, served on one Unix socket."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import NoReturn

from aiohttp import web

from local.sandboxes.envd import filesystem_service as filesystem
from local.sandboxes.envd.accounts import Account, Accounts
from local.sandboxes.envd.confine import Confinement, confine
from local.sandboxes.envd.connect import Message, answer, answer_stream, read_unary, refuse
from local.sandboxes.envd.errors import ConnectError, from_os_error
from local.sandboxes.envd.files import handle_files
from local.sandboxes.envd.first_process import FirstProcess, rehearse
from local.sandboxes.envd.guest import DEFAULT_ENVIRONMENT, Guest
from local.sandboxes.envd.watch_service import WatchService

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
FileCall = Callable[[Message, Account], Message]
Stream = Callable[[web.BaseRequest], Awaitable[AsyncGenerator[bytes, None]]]

MAX_LINE_BYTES = 16 * 1024
"""Room for a path of 4,096 bytes, each percent-encoded, in a request line."""

_WARM_UP = b"POST /filesystem.Filesystem/RemoveWatcher HTTP/1.1\r\nHost: envd\r\nContent-Length: 2\r\n\r\n{}"


def serve(
    control: socket.socket,
    listener: socket.socket,
    confinement: Confinement,
    env: Mapping[str, str] = DEFAULT_ENVIRONMENT,
) -> NoReturn:
    """Obey the server on `control`, serve files on `listener`: the sandbox's first process, and its root.

    `env` is what the environment of every command contains, whoever runs it.
    """
    run(control, listener, Guest(Accounts(confinement.privileges), partial(confine, confinement), env))


def run(control: socket.socket, listener: socket.socket, guest: Guest) -> NoReturn:
    """Serve `guest` for ever."""
    FirstProcess(control, listener, guest, serve_files).run()


async def serve_files(listener: socket.socket, guest: Guest) -> None:
    """Answer requests about the guest's files on a listening Unix socket for ever."""
    await asyncio.get_running_loop().create_unix_server(_server(guest), sock=listener)
    await asyncio.Event().wait()


async def warm_up() -> None:
    """Answer a request of our own, so that what this takes is in memory. Starts no thread."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    accounts = Accounts(fixed={"user": Account("user", 0, 0, "/")})
    server = _server(Guest(accounts, lambda: None))
    await loop.connect_accepted_socket(server, theirs)
    with ours:
        ours.setblocking(False)
        ours.send(_WARM_UP)
        await loop.sock_recv(ours, 4096)
    await server.shutdown()


def warm_up_processes() -> None:
    """Carry out an order of our own, for the same reason. The thread that this takes has ended afterwards."""
    account = Account("user", os.getuid(), os.getgid(), "/")
    guest = Guest(Accounts(fixed={"user": account}), lambda: None)
    for program in ("true", os.devnull):
        rehearse(guest, program)
    guest.spawner(account).close()


def _server(guest: Guest) -> web.Server:
    return web.Server(
        partial(_handle, _routes(guest)),
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        max_line_size=MAX_LINE_BYTES,
    )


def _routes(guest: Guest) -> dict[tuple[str, str], Handler]:
    watches = WatchService(guest)
    calls: dict[str, FileCall] = {
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
        ("GET", "/envs"): partial(_envs, guest),
        ("GET", "/files"): partial(handle_files, guest),
        ("POST", "/files"): partial(handle_files, guest),
        ("POST", "/files/compose"): partial(handle_files, guest),
        ("POST", "/filesystem.Filesystem/WatchDir"): partial(_stream, watches.watch_dir),
        **{
            ("POST", f"/filesystem.Filesystem/{name}"): partial(_call, guest, call)
            for name, call in calls.items()
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


async def _stream(call: Stream, request: web.BaseRequest) -> web.StreamResponse:
    return await answer_stream(request, call(request))


async def _call(guest: Guest, call: FileCall, request: web.BaseRequest) -> web.StreamResponse:
    account = guest.accounts.of_basic_auth(request.headers.get("Authorization"))
    return answer(call(await read_unary(request), account))


async def _envs(guest: Guest, _: web.BaseRequest) -> web.Response:
    return web.json_response(guest.envs)
