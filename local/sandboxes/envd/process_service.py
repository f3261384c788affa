"""`process.Process`: start processes, follow them, feed them, end them."""

import asyncio
import signal
from collections.abc import AsyncGenerator

from aiohttp import web

from local.sandboxes.envd.connect import (
    Message,
    bytes_field,
    field,
    frame,
    read_frames,
    read_request,
    timeout_seconds,
)
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.guest import Guest
from local.sandboxes.envd.launch import StartRequest, launch
from local.sandboxes.envd.process import Process
from local.sandboxes.envd.reaper import Reaper
from local.sandboxes.envd.streams import Size
from local.sandboxes.envd.subscription import Subscription

END_KEPT_SECONDS = 30
"""How long an ended process still tells its end to a late listener."""

DEFAULT_KEEPALIVE_SECONDS = 90

Frames = AsyncGenerator[bytes, None]

_SIGNALS = {"SIGNAL_SIGTERM": signal.SIGTERM, "SIGNAL_SIGKILL": signal.SIGKILL}


class ProcessService:
    """The processes that clients started in this sandbox."""

    def __init__(self, guest: Guest, reaper: Reaper) -> None:
        self._guest, self._reaper = guest, reaper
        self._processes: dict[int, Process] = {}

    async def start(self, request: web.BaseRequest) -> Frames:
        """Start a process and stream its events. The call's deadline is the process's, too."""
        account = self._guest.accounts.of_basic_auth(request.headers.get("Authorization"))
        wanted = StartRequest.parse(await read_request(request))
        seconds = timeout_seconds(request)
        process, ends = launch(self._guest, account, wanted, self._forget_later)
        self._processes[process.pid] = process
        self._reaper.watch(process.pid, process.exited)
        listener = process.subscribe()
        process.attach(ends)
        if seconds is not None:
            process.set_deadline(seconds, listener)
        return _follow(process, listener, request)

    async def connect(self, request: web.BaseRequest) -> Frames:
        """Stream the events of a running or lately ended process from now on."""
        message = await read_request(request)
        process = self._find(message)
        listener = process.subscribe()
        seconds = timeout_seconds(request)
        if seconds is not None:
            error = ConnectError("deadline_exceeded", f"the stream was open for its {seconds:g} s")
            asyncio.get_running_loop().call_later(seconds, listener.finish, error)
        return _follow(process, listener, request)

    async def list(self, _: Message) -> Message:
        """List what runs."""
        running = (process for process in self._processes.values() if process.running)
        return {"processes": [process.config.to_json(process.pid) for process in running]}

    async def send_signal(self, message: Message) -> Message:
        """Send SIGTERM or SIGKILL to a running process."""
        value = message.get("signal")
        number = next((each for name, each in _SIGNALS.items() if value in (name, each.value)), None)
        if number is None:
            raise ConnectError("invalid_argument", f"signal {value!r} is none of {', '.join(_SIGNALS)}")
        self._find_running(message).send_signal(number)
        return {}

    async def send_input(self, message: Message) -> Message:
        """Write to a process's stdin, or to its terminal."""
        await _write(self._find_running(message), message)
        return {}

    async def update(self, message: Message) -> Message:
        """Give a process's terminal another size."""
        process = self._find_running(message)
        if message.get("pty") is not None:
            process.resize(Size.parse(field(message, "pty", dict, {})))
        return {}

    async def stream_input(self, request: web.BaseRequest) -> Frames:
        """Write a client's stream to a process's input, in its order. Leaves it open."""
        process: Process | None = None
        async for message in read_frames(request.content):
            if "start" in message:
                process = self._find_running(field(message, "start", dict, {}))
            elif "data" in message:
                if process is None:
                    raise ConnectError("invalid_argument", "the first message must be 'start'")
                await _write(process, field(message, "data", dict, {}))
        return _once(frame(b"{}"))

    async def close_stdin(self, message: Message) -> Message:
        """Close a process's stdin; closing it again is fine."""
        process = self._find_running(message)
        if process.has_terminal:
            raise ConnectError("internal", "a terminal's input can not be closed: send Ctrl+D (0x04)")
        if process.input:
            process.input.close()
        return {}

    def _find_running(self, message: Message) -> Process:
        process = self._find(message)
        if not process.running:
            raise ConnectError("not_found", f"process {process.pid} has ended")
        return process

    def _find(self, message: Message) -> Process:
        selector = field(message, "process", dict, {})
        pid, tag = field(selector, "pid", int, 0), field(selector, "tag", str, "")
        matches = [each for each in self._processes.values() if tag and each.config.tag == tag]
        process = matches[-1] if matches else self._processes.get(pid)
        if process is None:
            raise ConnectError(
                "not_found", "there is no process with " + (f"tag '{tag}'" if tag else f"pid {pid}")
            )
        return process

    def _forget_later(self, process: Process) -> None:
        asyncio.get_running_loop().call_later(END_KEPT_SECONDS, self._forget, process)

    def _forget(self, process: Process) -> None:
        # Its number may belong to another process by now.
        if self._processes.get(process.pid) is process:
            del self._processes[process.pid]


async def _follow(process: Process, listener: Subscription, request: web.BaseRequest) -> Frames:
    try:
        async for each in listener.frames(keepalive_seconds(request)):
            yield each
    finally:
        process.unsubscribe(listener)


async def _once(message: bytes) -> Frames:
    yield message


def keepalive_seconds(request: web.BaseRequest) -> float:
    """How long a stream may be silent, as its client wishes."""
    value = request.headers.get("Keepalive-Ping-Interval", "")
    return max(1.0, float(value)) if value.isdecimal() else DEFAULT_KEEPALIVE_SECONDS


async def _write(process: Process, message: Message) -> None:
    data = field(message, "input", dict, {})
    name = next((name for name in ("stdin", "pty") if name in data), None)
    if name is None:
        raise ConnectError("invalid_argument", "the input must be for 'stdin' or 'pty'")
    if process.input is None or process.has_terminal != (name == "pty"):
        raise ConnectError("internal", f"process {process.pid} was started without {name}")
    await process.input.write(bytes_field(data, name))
