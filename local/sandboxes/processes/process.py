"""One process of a sandbox, as the server sees it: its pipes, its listeners, its deadline and its end."""

import asyncio
import base64
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from local.sandboxes.envd.connect import Message, frame
from local.sandboxes.envd.control import Report
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.subscription import Subscription
from local.sandboxes.processes.pipes import InputPipe, OutputPipe
from local.sandboxes.processes.start_request import ProcessConfig
from local.sandboxes.processes.streams import Ends, Size

_ENDING_SIGNALS = (signal.SIGKILL, signal.SIGTERM)

OnChange = Callable[["Process"], None]


class Process:
    """A process in a sandbox. Output that nobody listens to is dropped; the end is kept for late listeners.

    It is there once `up` is done, or else `up` tells why it could not be started.
    """

    def __init__(self, config: ProcessConfig, on_start: OnChange, on_end: OnChange) -> None:
        self.config, self.pid = config, 0
        self.up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.signal: Callable[[signal.Signals], None] = lambda _: None
        self.input: InputPipe | None = None
        self._terminal: int | None = None
        self._on_start, self._on_end = on_start, on_end
        self._outputs: list[OutputPipe] = []
        self._listeners: list[Subscription] = []
        self._status: int | None = None
        self._end: bytes | None = None
        self._end_at_exit = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether its end has not been told yet."""
        return self._end is None

    @property
    def exit_code(self) -> int:
        """How it ended: -1 after a signal, and while it runs."""
        return os.WEXITSTATUS(self._status) if self._status is not None and os.WIFEXITED(self._status) else -1

    @property
    def has_terminal(self) -> bool:
        """Whether it sits at a terminal rather than at pipes."""
        return self._terminal is not None

    def attach(self, ends: Ends) -> None:
        """Take over the daemon's ends and begin to read."""
        self.input = None if ends.input is None else InputPipe(ends.input)
        self._terminal = ends.outputs.get("pty")
        for name, fd in ends.outputs.items():
            self._outputs.append(OutputPipe(fd, self._publisher(name), self._end_if_over))

    def report(self, report: Report | None) -> None:
        """Take note of what became of it; with none, the sandbox is gone, and it with the sandbox."""
        if report is None:
            self._abandon(ConnectionResetError("the sandbox has ended"))
        elif report.error:
            self._abandon(report.error)
        elif report.pid is not None and not self.pid:
            self._started(report.pid)
        elif report.status is not None and self.pid:
            self._status = report.status
            self._end_if_over()

    def subscribe(self) -> Subscription:
        """Listen from now on; the first event names the process."""
        listener = Subscription(self._read_if_heard)
        if self.pid:
            listener.put(_event({"start": {"pid": self.pid}}))
        if self._end is None:
            self._listeners.append(listener)
        else:
            listener.put(self._end)
            listener.finish()
        return listener

    def unsubscribe(self, listener: Subscription) -> None:
        """Listen no more; the process runs on."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._read_if_heard()

    def set_deadline(self, seconds: float, starter: Subscription) -> None:
        """Kill the process after that time, and end its starter's stream with `deadline_exceeded`."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._expire, starter, seconds)

    def resize(self, size: Size) -> None:
        """Give its terminal another size. Raises `ConnectError` if it has none, or it is gone."""
        if self._terminal is None or not any(output.open for output in self._outputs):
            raise ConnectError("internal", f"process {self.pid} has no terminal")
        size.put_on(self._terminal)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process itself. One that has exited tells its end now, whoever holds its output."""
        # A grandchild that keeps the output open must not hide the end that was asked for.
        self._end_at_exit = self._end_at_exit or number in _ENDING_SIGNALS
        if self._status is None:
            self.signal(number)
        self._end_if_over()

    def _started(self, pid: int) -> None:
        self.pid = pid
        self._on_start(self)
        for listener in self._listeners:
            listener.put(_event({"start": {"pid": pid}}))
        self._read_if_heard()
        if not self.up.done():
            self.up.set_result(None)

    def _abandon(self, error: Exception) -> None:
        """Give all up: it never began, or nobody will tell how it ended."""
        if not self.up.done():
            self.up.set_exception(error)
        for listener in self._listeners:
            listener.finish(error)
        self.drop()

    def _publisher(self, name: str) -> Callable[[bytes], None]:
        prefix = b'{"event":{"data":{"' + name.encode() + b'":"'

        def publish(chunk: bytes) -> None:
            self._publish(frame(prefix + base64.b64encode(chunk) + b'"}}}'))

        return publish

    def _publish(self, event: bytes) -> None:
        for listener in self._listeners:
            listener.put(event)
        if any(listener.full for listener in self._listeners):
            for output in self._outputs:
                output.pause()

    def _read_if_heard(self) -> None:
        if not any(listener.full for listener in self._listeners):
            heard = bool(self._listeners)
            for output in self._outputs:
                output.resume(heard=heard)

    def _expire(self, starter: Subscription, seconds: float) -> None:
        error = ConnectError("deadline_exceeded", f"the command ran longer than its {seconds:g} s")
        if not self.up.done():
            self.up.set_exception(error)
        starter.finish(error)
        self.unsubscribe(starter)
        with suppress(
            ConnectError, ConnectionError
        ):  # It is gone, or so many calls wait for it that it will be.
            self.send_signal(signal.SIGKILL)

    def _end_if_over(self) -> None:
        if self._status is None or self._end is not None:
            return
        if self._end_at_exit:
            for output in self._outputs:
                output.drain()
        if self._end is None and (self._end_at_exit or not any(output.open for output in self._outputs)):
            self._finish(self._status)

    def _finish(self, status: int) -> None:
        self._end = _event({"end": _outcome(status)})
        for listener in self._listeners:
            listener.put(self._end)
            listener.finish()
        self.drop()
        self._on_end(self)

    def drop(self) -> None:
        """Hear and tell nothing more of it."""
        self._listeners.clear()
        if self._deadline:
            self._deadline.cancel()
        if self.input:
            self.input.close()
        for output in self._outputs:
            output.close()


def _event(event: Message) -> bytes:
    return frame(json.dumps({"event": event}, separators=(",", ":")).encode())


def _outcome(status: int) -> Message:
    if os.WIFSIGNALED(status):
        name = (signal.strsignal(os.WTERMSIG(status)) or f"signal {os.WTERMSIG(status)}").lower()
        text = f"signal: {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
        return {"exitCode": -1, "exited": False, "status": text, "error": text}
    code = os.waitstatus_to_exitcode(status)
    text = f"exit status {code}"
    outcome = {"exitCode": code, "exited": True, "status": text}
    return outcome | ({"error": text} if code else {})
