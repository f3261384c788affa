"""Fakes of what a test must not need: a sandbox service that runs nothing, and clocks that are set."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from pydantic import SecretStr

from castari.adapters.callbacks import CallbackAnswer
from castari.adapters.results import response_key, result_key
from castari.errors import CastariError, SandboxLost, SandboxMissing
from castari.models import SandboxAccess, SandboxSummary


@dataclass
class SetClock:
    """A clock that a test moves."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **lasting: float) -> None:
        self.now += timedelta(**lasting)

    async def sleep(self, seconds: float) -> None:
        """Be over at once."""
        self.pass_(seconds=seconds)


class FakeRunningCommand:
    """A command whose frames a script yields; letting go leaves it alone."""

    def __init__(self, frames: AsyncIterator[dict[str, Any]]) -> None:
        self._frames = frames
        self.let_go_of = False

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        async for frame in self._frames:
            yield frame

    async def let_go(self) -> None:
        self.let_go_of = True


@dataclass
class FakeSandbox:
    """One sandbox: what it was made of, and what was started in it."""

    template: str
    metadata: dict[str, str]
    started_at: datetime
    ends_at: datetime
    pauses: bool = False
    """Paused, not ended, when its time is over."""
    paused: bool = False
    commands: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    """Commands that run for as long as it lives."""


Script = Callable[["FakeSandboxes", str, dict[str, str]], AsyncIterator[dict[str, Any]]]
"""Frames of a command, of the service, the sandbox's id and the environment it was given."""


@dataclass
class FakeSandboxes:
    """A sandbox service in memory, with the methods of the adapter."""

    clock: Callable[[], datetime]
    script: Script
    deployment: str = "test"
    alive: dict[str, FakeSandbox] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """The sandbox that each snapshot was made of."""
    snapshots_made: int = 0
    calls: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What happens just before a method does its work."""
    hangs: set[str] = field(default_factory=set)
    """Methods that never answer."""
    unanswered: int = 0
    """So many starts are carried out, and nobody hears of it."""
    started: list[dict[str, str]] = field(default_factory=list)
    """The environment of each command that was started."""
    failures: dict[str, list[CastariError]] = field(default_factory=dict)
    """Errors that the next calls of a method raise instead."""
    printed: dict[str, bytes] = field(default_factory=dict)
    """What running agents have printed so far, by stream."""
    lie: dict[str, Any] = field(default_factory=dict)
    """What a hostile sandbox says instead."""
    _by_key: dict[str, str] = field(default_factory=dict)

    async def create(
        self,
        template: str,
        *,
        timeout_seconds: int,
        metadata: Mapping[str, str],
        idempotency_key: str,
        pauses: bool = False,
    ) -> SandboxAccess:
        await self._called_and_answered("create")
        if template.startswith("snapshot-") and template not in self.snapshots:
            raise SandboxMissing("no such snapshot")
        sandbox_id = self._by_key.setdefault(idempotency_key, f"sandbox{len(self._by_key)}")
        now = self.clock()
        self.alive[sandbox_id] = FakeSandbox(
            template,
            {"castari": self.deployment, **metadata},
            now,
            now + timedelta(seconds=timeout_seconds),
            pauses=pauses,
        )
        return SandboxAccess(
            sandbox_id=sandbox_id, access_token=SecretStr(f"token-{sandbox_id}"), envd_version="0.6.13"
        )

    async def start(
        self,
        access: SandboxAccess,
        command: str,
        *,
        environment: Mapping[str, SecretStr],
        timeout_seconds: float,
    ) -> FakeRunningCommand:
        await self._called_and_answered("start")
        if access.sandbox_id not in self.alive:
            raise SandboxMissing("it is gone")
        assert access.access_token.get_secret_value() == f"token-{access.sandbox_id}"
        if "echo never" in command:
            return FakeRunningCommand(self._asked(access.sandbox_id, command))
        if " output " in command:
            return FakeRunningCommand(self._shown(command))
        plain = {name: value.get_secret_value() for name, value in environment.items()}
        self.alive[access.sandbox_id].commands.append((command, plain, timeout_seconds))
        self.started.append(plain)
        if self.unanswered:
            self.unanswered -= 1
            raise SandboxLost("no answer")
        return FakeRunningCommand(self.script(self, access.sandbox_id, plain))

    async def begin(self, access: SandboxAccess, command: str) -> None:
        await self._called_and_answered("begin")
        if access.sandbox_id not in self.alive:
            raise SandboxMissing("it is gone")
        self.alive[access.sandbox_id].begun.append(command)

    async def _asked(self, sandbox_id: str, command: str) -> AsyncIterator[dict[str, Any]]:
        """Tell whether what is asked for has begun, as the sandbox's own shell would."""
        mark = command.partition("echo never > ")[2].partition(";")[0]
        begun = any(f": > {mark} " in each for each, _, _ in self.alive[sandbox_id].commands)
        yield {"castari": "begun", "begun": begun, **self.lie}

    async def connect(self, sandbox_id: str, *, timeout_seconds: int) -> SandboxAccess:
        self._called("connect")
        if sandbox_id not in self.alive:
            raise SandboxMissing("it is gone")
        sandbox = self.alive[sandbox_id]
        sandbox.ends_at = max(sandbox.ends_at, self.clock() + timedelta(seconds=timeout_seconds))
        sandbox.paused = False
        return SandboxAccess(
            sandbox_id=sandbox_id, access_token=SecretStr(f"token-{sandbox_id}"), envd_version="0.6.13"
        )

    async def pause(self, sandbox_id: str) -> None:
        self._called("pause")
        if sandbox_id not in self.alive:
            raise SandboxMissing("it is gone")
        self.alive[sandbox_id].paused = True

    async def _shown(self, command: str) -> AsyncIterator[dict[str, Any]]:
        """Play the runner's `output`, which does not wait here."""
        *_, _folder, stream, offset, limit, _seconds = command.split()
        part = self.printed.get(stream, b"")[int(offset) :][: int(limit)]
        told = {"offset": int(offset), "content": base64.b64encode(part).decode()}
        yield {"castari": "output", **told, **self.lie}

    async def kill(self, sandbox_id: str) -> bool:
        self._called("kill")
        return self.alive.pop(sandbox_id, None) is not None

    async def set_timeout(self, sandbox_id: str, seconds: int) -> None:
        self._called("set_timeout")
        if sandbox_id not in self.alive:
            raise SandboxMissing("it is gone")
        self.alive[sandbox_id].ends_at = self.clock() + timedelta(seconds=seconds)

    async def snapshot(self, sandbox_id: str) -> str:
        self._called("snapshot")
        self.snapshots_made += 1
        snapshot_id = f"snapshot-{self.snapshots_made}"
        self.snapshots[snapshot_id] = self.alive[sandbox_id].template
        self.sources[snapshot_id] = sandbox_id
        return snapshot_id

    async def snapshots_of(self, sandbox_id: str) -> list[str]:
        self._called("snapshots_of")
        return [name for name, source in self.sources.items() if source == sandbox_id]

    async def delete_snapshot(self, snapshot_id: str) -> None:
        self._called("delete_snapshot")
        self.snapshots.pop(snapshot_id, None)
        self.sources.pop(snapshot_id, None)

    async def list(self, **metadata: str) -> AsyncIterator[SandboxSummary]:
        self._called("list")
        for sandbox_id, sandbox in list(self.alive.items()):
            if metadata.items() <= sandbox.metadata.items():
                yield SandboxSummary(
                    sandbox_id=sandbox_id,
                    metadata=sandbox.metadata,
                    started_at=sandbox.started_at,
                    ends_at=sandbox.ends_at,
                    is_paused=sandbox.paused,
                )

    def let_time_pass(self) -> None:
        """End what is past its own time, as the service does."""
        for sandbox_id, sandbox in list(self.alive.items()):
            if sandbox.ends_at <= self.clock() and not sandbox.paused:
                sandbox.paused = sandbox.pauses
                if not sandbox.pauses:
                    del self.alive[sandbox_id]

    async def _called_and_answered(self, method: str) -> None:
        self._called(method)
        if method in self.hangs:
            await asyncio.Event().wait()

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method in self.before:
            self.before[method]()
        if self.failures.get(method):
            raise self.failures[method].pop(0)


@dataclass
class FakeCallbackSender:
    """Receivers in memory: they note what comes, and accept it unless a test has them answer otherwise."""

    received: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    answers: list[CallbackAnswer | CastariError] = field(default_factory=list)
    """What the next attempts are answered with."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> CallbackAnswer:
        self.received.append((url, body, dict(headers)))
        answer = self.answers.pop(0) if self.answers else CallbackAnswer(204)
        if isinstance(answer, CastariError):
            raise answer
        return answer


@dataclass
class ScriptedRunner:
    """Plays the runner: prints the closing frame, then stores the result, as it would."""

    bucket: str
    answer: Callable[[str], dict[str, Any]] = lambda prompt: {"stdout": f"you said {prompt}", "exit_code": 0}
    stores: bool = True
    prints: bool = True
    waits: Callable[[], Awaitable[object]] | None = None
    builds: list[dict[str, Any]] = field(default_factory=list)
    """Environments of build commands, with their job as `job`."""
    build_waits: Callable[[], Awaitable[object]] | None = None
    build_output: dict[str, list[str]] = field(default_factory=dict)
    """What a step's command prints."""
    build_failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Frames that end a build at a step."""
    environments: list[dict[str, str]] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    """Reports, as they were stored; S3 tells of each."""

    async def __call__(
        self, _service: FakeSandboxes, _sandbox_id: str, environment: dict[str, str]
    ) -> AsyncIterator[dict[str, Any]]:
        if "steps" in json.loads(environment["CASTARI_JOB"]):
            if self.build_waits:
                await self.build_waits()
            for frame in self._build(environment):
                yield frame
            return
        self.environments.append(environment)
        report = self.report(environment)
        yield {"castari": "started", "pid": 7}
        if self.waits:
            await self.waits()
        if self.prints:
            yield {"castari": "result", "report": report}
        if self.stores:
            await asyncio.to_thread(self.store, report)

    def _build(self, environment: dict[str, str]) -> list[dict[str, Any]]:
        job = json.loads(environment["CASTARI_JOB"])
        self.builds.append({**environment, "job": job})
        frames: list[dict[str, Any]] = []
        for step in job["steps"]:
            frames.append({"castari": "step_started", "step": step})
            frames += [{"castari": "output", "text": text} for text in self.build_output.get(step, [])]
            if step in self.build_failures:
                return [*frames, {"castari": "failed", "step": step, **self.build_failures[step]}]
            frames.append({"castari": "step_done", "step": step, "seconds": 0.1, "note": "done"})
        return [*frames, {"castari": "done"}]

    def report(self, environment: dict[str, str]) -> dict[str, Any]:
        job = json.loads(environment["CASTARI_JOB"])
        prompt = environment.get("CASTARI_PROMPT", "")
        return {"invocation_id": job["invocation_id"], "attempt": job["attempt"], **self.answer(prompt)}

    def store(self, report: dict[str, Any]) -> None:
        """Store a report where the runner would."""
        key = result_key(report["invocation_id"], report["attempt"])
        boto3.client("s3").put_object(Bucket=self.bucket, Key=key, Body=json.dumps(report).encode())
        self.stored.append(report)

    def store_answer(self, invocation_id: str, attempt: int, content: bytes) -> None:
        """Store a long answer where the runner would."""
        boto3.client("s3").put_object(
            Bucket=self.bucket, Key=response_key(invocation_id, attempt), Body=content
        )
