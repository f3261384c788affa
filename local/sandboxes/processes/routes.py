"""`process.Process` over HTTP: start processes, follow them, feed them, end them."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable

from aiohttp import web

from local.sandboxes.envd.accounts import user_of_basic_auth
from local.sandboxes.envd.connect import (
    Message,
    answer,
    answer_stream,
    bytes_field,
    field,
    frame,
    keepalive_seconds,
    read_frames,
    read_request,
    read_unary,
    refuse,
    timeout_seconds,
)
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.subscription import Subscription
from local.sandboxes.processes.process import Process
from local.sandboxes.processes.service import Processes
from local.sandboxes.processes.start_request import StartRequest
from local.sandboxes.processes.streams import Size

PREFIX = "/process.Process/"

Frames = AsyncGenerator[bytes, None]
Unary = Callable[[Processes, Message], Awaitable[Message]]
Stream = Callable[[Processes, web.BaseRequest], Awaitable[Frames]]

_SIGNALS = {"SIGNAL_SIGTERM": signal.SIGTERM, "SIGNAL_SIGKILL": signal.SIGKILL}


async def handle(processes: Processes, request: web.BaseRequest) -> web.StreamResponse:
    """Answer a call about a sandbox's processes. Raises `ConnectionError` if the sandbox is gone."""
    name = request.path.removeprefix(PREFIX)
    try:
        if stream := _STREAMS.get(name):
            return await answer_stream(request, stream(processes, request))
        return answer(await _UNARY.get(name, _unknown)(processes, await read_unary(request)))
    except ConnectError as error:
        return refuse(error)


async def _start(processes: Processes, request: web.BaseRequest) -> Frames:
    """Start a process and stream its events. The call's deadline is the process's, too."""
    user = user_of_basic_auth(request.headers.get("Authorization"))
    wanted = StartRequest.parse(await read_request(request))
    process, listener = await processes.start(wanted, user, timeout_seconds(request))
    return _follow(process, listener, request)


async def _connect(processes: Processes, request: web.BaseRequest) -> Frames:
    """Stream the events of a running or lately ended process from now on."""
    process = _find(processes, await read_request(request))
    listener = process.subscribe()
    seconds = timeout_seconds(request)
    if seconds is not None:
        error = ConnectError("deadline_exceeded", f"the stream was open for its {seconds:g} s")
        asyncio.get_running_loop().call_later(seconds, listener.finish, error)
    return _follow(process, listener, request)


async def _list(processes: Processes, _: Message) -> Message:
    """List what runs."""
    return {"processes": [process.config.to_json(process.pid) for process in processes.running()]}


async def _send_signal(processes: Processes, message: Message) -> Message:
    """Send SIGTERM or SIGKILL to a running process."""
    value = message.get("signal")
    number = next((each for name, each in _SIGNALS.items() if value in (name, each.value)), None)
    if number is None:
        raise ConnectError("invalid_argument", f"signal {value!r} is none of {', '.join(_SIGNALS)}")
    _find_running(processes, message).send_signal(number)
    return {}


async def _send_input(processes: Processes, message: Message) -> Message:
    """Write to a process's stdin, or to its terminal."""
    await _write(_find_running(processes, message), message)
    return {}


async def _update(processes: Processes, message: Message) -> Message:
    """Give a process's terminal another size."""
    process = _find_running(processes, message)
    if message.get("pty") is not None:
        process.resize(Size.parse(field(message, "pty", dict, {})))
    return {}


async def _stream_input(processes: Processes, request: web.BaseRequest) -> Frames:
    """Write a client's stream to a process's input, in its order. Leaves it open."""
    process: Process | None = None
    async for message in read_frames(request.content):
        if "start" in message:
            process = _find_running(processes, field(message, "start", dict, {}))
        elif "data" in message:
            if process is None:
                raise ConnectError("invalid_argument", "the first message must be 'start'")
            await _write(process, field(message, "data", dict, {}))
    return _once(frame(b"{}"))


async def _close_stdin(processes: Processes, message: Message) -> Message:
    """Close a process's stdin; closing it again is fine."""
    process = _find_running(processes, message)
    if process.has_terminal:
        raise ConnectError("internal", "a terminal's input can not be closed: send Ctrl+D (0x04)")
    if process.input:
        process.input.close()
    return {}


async def _unknown(_: Processes, __: Message) -> Message:
    raise ConnectError("unimplemented", "there is no such call of process.Process")


_STREAMS: dict[str, Stream] = {"Start": _start, "Connect": _connect, "StreamInput": _stream_input}
_UNARY: dict[str, Unary] = {
    "List": _list,
    "SendInput": _send_input,
    "Update": _update,
    "SendSignal": _send_signal,
    "CloseStdin": _close_stdin,
}


def _find(processes: Processes, message: Message) -> Process:
    return processes.find(field(message, "process", dict, {}))


def _find_running(processes: Processes, message: Message) -> Process:
    process = _find(processes, message)
    if not process.running:
        raise ConnectError("not_found", f"process {process.pid} has ended")
    return process


async def _follow(process: Process, listener: Subscription, request: web.BaseRequest) -> Frames:
    try:
        async for each in listener.batches(keepalive_seconds(request)):
            yield each
    finally:
        process.unsubscribe(listener)


async def _once(message: bytes) -> Frames:
    yield message


async def _write(process: Process, message: Message) -> None:
    data = field(message, "input", dict, {})
    name = next((name for name in ("stdin", "pty") if name in data), None)
    if name is None:
        raise ConnectError("invalid_argument", "the input must be for 'stdin' or 'pty'")
    if process.input is None or process.has_terminal != (name == "pty"):
        raise ConnectError("internal", f"process {process.pid} was started without {name}")
    await process.input.write(bytes_field(data, name))
