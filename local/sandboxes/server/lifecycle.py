"""The life of sandboxes: made, given time, paused, resumed, ended."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from local.sandboxes.engine import Engine, EngineError
from local.sandboxes.server import log
from local.sandboxes.server.counters import Counters
from local.sandboxes.server.creation import make_sandbox
from local.sandboxes.server.dormancy import put_to_sleep, wake_up
from local.sandboxes.server.errors import ApiError, SandboxMissingError
from local.sandboxes.server.journal import EndedJournals, Journal
from local.sandboxes.server.layers import Layers
from local.sandboxes.server.network_policy import policy_of
from local.sandboxes.server.registry import Registry
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.schemas import NetworkUpdate, NewSandbox, Pause
from local.sandboxes.server.settings import Settings
from local.sandboxes.server.snapshots import Snapshot
from local.sandboxes.server.templates import Template
from local.sandboxes.server.upstream import Upstream


class Lifecycle:
    """Makes and ends sandboxes, and ends those whose time is over."""

    def __init__(self, engine: Engine, layers: Layers, settings: Settings) -> None:
        self.registry, self.counters = Registry(), Counters()
        self._ended = EndedJournals()
        self._engine, self._layers, self._settings = engine, layers, settings
        self._being_made = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, request: NewSandbox) -> Sandbox:
        """Make a sandbox. Raises `ApiError`: unknown template, bad timeout, too many sandboxes."""
        request.check_supported()
        template = self._layers.find_template(request.template_id)
        return await self._create(request, template, request.timeout)

    async def fork(self, sandbox: Sandbox, seconds: int, count: int) -> list[Sandbox | ApiError]:
        """Make copies of a sandbox's filesystem that live that long: each a sandbox, or why it is none."""
        self._seconds(seconds)
        try:
            async with self._changing(sandbox), self._layers.fork_of(sandbox) as template:
                copies = [self._create(sandbox.request, template, seconds) for _ in range(count)]
                made = await asyncio.gather(*map(_or_error, copies))
        finally:
            self._run(self._layers.collect(self.registry))
        return made

    async def make(self, template: Template, seconds: int) -> Sandbox:
        """Make a sandbox of the server's own, from a template that clients need not know."""
        request = NewSandbox(templateID=template.template_id, timeout=seconds)
        return await self._create(request, template, seconds)

    @asynccontextmanager
    async def kept(self, sandbox: Sandbox) -> AsyncIterator[tuple[str, ...]]:
        """The layers that a sandbox's filesystem is now; noted in the block, they stay. Raises `ApiError`."""
        async with self._changing(sandbox), self._layers.kept(sandbox) as layers:
            yield layers

    async def _create(self, request: NewSandbox, template: Template, wish: int | None) -> Sandbox:
        seconds = self._seconds(wish)
        self._check_room()
        began = time.monotonic()
        self._being_made += 1
        try:
            sandbox = await make_sandbox(self._engine, request, template)
        finally:
            self._being_made -= 1
        self.registry.add(sandbox)
        self.set_timeout(sandbox, seconds)
        self._run(self._watch(sandbox))
        took = time.monotonic() - began
        self.counters.created(took)
        sandbox.journal.tell(
            "sandbox_created",
            template_id=template.template_id,
            timeout_seconds=seconds,
            took_ms=round(took * 1000, 2),
        )
        return sandbox

    async def kill(self, sandbox: Sandbox, reason: str) -> asyncio.Task[None]:
        """End a sandbox at once. Raises `SandboxMissingError` if another call was faster.

        Its processes have their signal when this returns; the task ends when the kernel has ended them.
        """
        if not self.registry.remove(sandbox):
            raise SandboxMissingError(sandbox.sandbox_id)
        if sandbox.timer:
            sandbox.timer.cancel()
        # First, so that no stream tells of a command's end that was the sandbox's.
        await sandbox.upstream.close()
        self.counters.ended(reason)
        self._ended.keep(sandbox.journal)
        burial = self._run(self._bury(sandbox, reason, time.monotonic()))
        await asyncio.sleep(0)  # It begins, and with it the signal is sent.
        return burial

    async def _bury(self, sandbox: Sandbox, reason: str, began: float) -> None:
        """Wait for the death of its processes, which nobody else needs to."""
        async with sandbox.transition:
            await sandbox.guest.kill()
        sandbox.journal.tell(
            "sandbox_ended",
            reason=reason,
            lived_ms=round((datetime.now(UTC) - sandbox.started_at).total_seconds() * 1000),
            took_ms=round((time.monotonic() - began) * 1000, 2),
        )
        if not self._layers.keeps(sandbox):
            await self._layers.collect(self.registry)

    def set_timeout(self, sandbox: Sandbox, seconds: int | None, *, shorten: bool = True) -> None:
        """Let a running sandbox live that long from now on. Raises `ApiError`."""
        end_at = datetime.now(UTC) + timedelta(seconds=self._seconds(seconds))
        if shorten or end_at > sandbox.end_at:
            sandbox.end_at = end_at
            sandbox.journal.note("sandbox_timeout_set", end_at=end_at.isoformat())
        if sandbox.timer:
            sandbox.timer.cancel()
        delay = max(0.0, (sandbox.end_at - datetime.now(UTC)).total_seconds())
        sandbox.timer = asyncio.get_running_loop().call_later(delay, self._on_timeout, sandbox)

    async def pause(self, sandbox: Sandbox, wish: Pause | None = None) -> None:
        """Freeze a sandbox, or keep its disk alone, and drop its connections.

        Raises `ApiError` if it is paused already, or its daemon does not answer and that was asked for.
        """
        wish = wish or Pause()
        async with self._changing(sandbox):
            if sandbox.state == "paused":
                raise ApiError(409, f"sandbox {sandbox.sandbox_id} is already paused")
            if wish.needs_answer and not await sandbox.upstream.answers():
                raise ApiError(503, f"sandbox {sandbox.sandbox_id} is not paused: its daemon does not answer")
            sandbox.state = "paused"
            await sandbox.upstream.close()
            try:
                await sandbox.guest.pause()
            except EngineError:
                self._open(sandbox)
                raise
            sandbox.pause_mode = "full"
            if not wish.memory:
                await self._put_to_sleep(sandbox)
        if sandbox.timer:
            sandbox.timer.cancel()
        sandbox.journal.tell("sandbox_paused", mode=sandbox.pause_mode)

    async def _put_to_sleep(self, sandbox: Sandbox) -> None:
        try:
            await put_to_sleep(sandbox, self._layers)
        except ApiError:
            await sandbox.guest.resume()
            self._open(sandbox)
            raise
        sandbox.pause_mode = "filesystem"

    async def resume(self, sandbox: Sandbox, seconds: int | None, *, memory: bool = True) -> None:
        """Let a paused sandbox run on for that long; without `memory`, or if none was kept, start it anew.

        Raises `ApiError` if it ended meanwhile.
        """
        self._seconds(seconds)
        async with self._changing(sandbox):
            if sandbox.state == "paused" and sandbox.pause_mode == "full" and memory:
                await sandbox.guest.resume()
                self._open(sandbox)
            elif sandbox.state == "paused":
                await self._start_anew(sandbox)
        self.set_timeout(sandbox, seconds)
        sandbox.journal.tell("sandbox_resumed")

    async def _start_anew(self, sandbox: Sandbox) -> None:
        if sandbox.pause_mode == "full":
            await put_to_sleep(sandbox, self._layers)
            sandbox.pause_mode = "filesystem"
        await wake_up(sandbox, self._engine)
        sandbox.state = "running"
        self._run(self._watch(sandbox))

    async def wake(self, sandbox: Sandbox) -> None:
        """Resume a sandbox that somebody uses, for as long as it was made to live."""
        await self.resume(sandbox, sandbox.request.timeout)

    async def snapshot(self, sandbox: Sandbox, name: str | None) -> Snapshot:
        """Keep a sandbox's filesystem under an id, and a name if there is one. Raises `ApiError`."""
        async with self._changing(sandbox):
            return await self._layers.snapshot(sandbox, name)

    async def set_network(self, sandbox: Sandbox, wish: NetworkUpdate) -> None:
        """Replace what a running sandbox may connect to. Raises `ApiError`."""
        policy = policy_of(wish, allow_internet=wish.allow_internet_access is not False)
        async with self._changing(sandbox):
            if sandbox.state == "paused":
                raise ApiError(409, f"sandbox {sandbox.sandbox_id} is paused: connect to it first")
            await sandbox.guest.set_network(policy)
            egress = wish.model_dump(exclude={"allow_internet_access"})
            # Copies that are made of it are held to the same.
            sandbox.request = sandbox.request.model_copy(
                update={
                    "allow_internet_access": wish.allow_internet_access,
                    "network": sandbox.request.network.model_copy(update=egress),
                }
            )
        sandbox.journal.tell("sandbox_network_changed")

    def journal(self, sandbox_id: str) -> Journal:
        """What happened to a sandbox, also one that ended lately. Raises `SandboxMissingError`."""
        sandbox = self.registry.find(sandbox_id)
        return sandbox.journal if sandbox else self._ended.get(sandbox_id)

    @property
    def prepared(self) -> int:
        """How many sandboxes the engine holds ready for requests."""
        return self._engine.prepared

    async def close(self) -> None:
        """End all sandboxes."""
        ends = await asyncio.gather(*(self.kill(sandbox, "shutdown") for sandbox in self.registry))
        await asyncio.gather(*ends)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def _changing(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """One change of a sandbox at a time, and none after its end."""
        async with sandbox.transition:
            if self.registry.find(sandbox.sandbox_id) is not sandbox:
                raise SandboxMissingError(sandbox.sandbox_id)
            yield

    def _open(self, sandbox: Sandbox) -> None:
        sandbox.upstream = Upstream(sandbox.guest)
        sandbox.state = "running"

    def _seconds(self, wish: int | None) -> int:
        longest = self._settings.max_timeout_seconds
        seconds = self._settings.default_timeout_seconds if wish is None else wish
        if seconds > longest:
            raise ApiError(400, f"timeout: {seconds} s is too long, {longest} s is the most")
        return seconds

    def _check_room(self) -> None:
        most = self._settings.max_sandboxes
        running = sum(each.state == "running" for each in self.registry)
        if running + self._being_made >= most:
            raise ApiError(429, f"you have reached the maximum number of concurrent E2B sandboxes ({most})")

    def _on_timeout(self, sandbox: Sandbox) -> None:
        self._run(self._end_of_time(sandbox))

    async def _end_of_time(self, sandbox: Sandbox) -> None:
        if sandbox.request.auto_pause:
            with suppress(ApiError, EngineError):
                await self.pause(sandbox, Pause(memory=sandbox.request.auto_pause_memory))
        # One that can not be paused must not outlive its time either.
        if sandbox.state == "running":
            await self.kill(sandbox, "timeout")

    async def _watch(self, sandbox: Sandbox) -> None:
        guest = sandbox.guest
        cause = await guest.wait()
        # Its processes may also have ended because only its disk is kept.
        if sandbox.guest is guest and self.registry.find(sandbox.sandbox_id) is sandbox:
            await self.kill(sandbox, cause)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # To lose a race against another end is no failure.
        if error and not isinstance(error, ApiError):
            log.failure("background_task_failed", error)


async def _or_error(work: Awaitable[Sandbox]) -> Sandbox | ApiError:
    try:
        return await work
    except ApiError as error:
        return error
