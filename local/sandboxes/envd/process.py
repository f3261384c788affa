"""One process of a sandbox: its pipes, its listeners, its deadline and its end."""

import asyncio
import base64
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from local.sandboxes.envd.connect import Message, frame
from local.sandboxes.envd.errors import ConnectError
from local.sandboxes.envd.pipes import InputPipe, OutputPipe
from local.sandboxes.envd.streams import Ends, Size
from local.sandboxes.envd.subscription import Subscription

_ENDING_SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@dataclass(frozen=True)
class ProcessConfig:
    """A process as its starter described it."""

    cmd: str
    args: tuple[str, ...] = ()
    envs: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    tag: str | None = None

    def to_json(self, pid: int) -> Message:
        """Its entry in a list of processes."""
        config = {"cmd": self.cmd, "args": list(self.args), "envs": self.envs}
        entry: Message = {"pid": pid, "config": config | ({"cwd": self.cwd} if self.cwd else {})}
        return entry | ({"tag": self.tag} if self.tag else {})


class Process:
    """A started process. Output that nobody listens to is dropped; the end is kept for late listeners."""

    def __init__(self, pid: int, config: ProcessConfig, on_end: Callable[["Process"], None]) -> None:
        self.pid, self.config = pid, config
        self.input: InputPipe | None = None
        self._terminal: int | None = None
        self._on_end = on_end
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
    def has_terminal(self) -> bool:
        """Whether it sits at a terminal rather than at pipes."""
        return self._terminal is not None

    def attach(self, ends: Ends) -> None:
        """Take over the daemon's ends and begin to read."""
        self.input = None if ends.input is None else InputPipe(ends.input)
        self._terminal = ends.outputs.get("pty")
        for name, fd in ends.outputs.items():
            self._outputs.append(OutputPipe(fd, self._publisher(name), self._end_if_over))
        self._read_if_heard()

    def subscribe(self) -> Subscription:
        """Listen from now on; the first event names the process."""
        listener = Subscription(self._read_if_heard)
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
            os.kill(self.pid, number)
        self._end_if_over()

    def exited(self, status: int) -> None:
        """Take note of the wait status."""
        self._status = status
        self._end_if_over()

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
            for output in self._outputs:
                output.resume()

    def _expire(self, starter: Subscription, seconds: float) -> None:
        starter.finish(ConnectError("deadline_exceeded", f"the command ran longer than its {seconds:g} s"))
        self.unsubscribe(starter)
        self._end_at_exit = True
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
        self._end_if_over()

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
        if self._deadline:
            self._deadline.cancel()
        if self.input:
            self.input.close()
        for output in self._outputs:
            output.close()
        for listener in self._listeners:
            listener.put(self._end)
            listener.finish()
        self._listeners.clear()
        self._on_end(self)


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
