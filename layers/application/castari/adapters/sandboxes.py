"""Sandboxes, through the unmodified E2B SDK: E2B's cloud, or any server that speaks its API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import e2b
from e2b.connection_config import ConnectionConfig
from packaging.version import Version
from pydantic import SecretStr

from castari.adapters.commands import RunningCommand
from castari.adapters.sandbox_errors import (
    creation_errors,
    definitely_not_started,
    sandbox_errors,
    translate,
)
from castari.errors import SandboxLost
from castari.models import SandboxAccess, SandboxSummary

_CREATE_SECONDS = 30.0
_START_SECONDS = 15.0
_CALL_SECONDS = 10.0
_SNAPSHOT_SECONDS = 120.0
_PAUSE_SECONDS = 45.0


@dataclass(frozen=True)
class Sandboxes:
    """Makes, uses and ends sandboxes. `deployment` marks ours among others of the same account."""

    deployment: str
    api_key: SecretStr
    api_url: str = ""
    sandbox_url: str = ""
    ended: Callable[[str], None] = lambda _sandbox_id: None
    """Told of each sandbox that is not there any more, once it was to be killed."""

    async def create(
        self,
        template: str,
        *,
        timeout_seconds: int,
        metadata: Mapping[str, str],
        idempotency_key: str,
        pauses: bool = False,
    ) -> SandboxAccess:
        """Make a sandbox from a template or snapshot, which ends by itself after `timeout_seconds`.

        One that `pauses` is paused then instead, and whenever its time is over again.
        The same key gives the same sandbox again. Raises `SandboxMissing` if the template is gone,
        `VendorRateLimited`, `VendorUnavailable`.
        """
        with creation_errors():
            # The SDK's own timeout is for each of connecting, sending and reading.
            async with asyncio.timeout(_CREATE_SECONDS):
                sandbox = await e2b.AsyncSandbox.create(
                    template,
                    timeout=timeout_seconds,
                    metadata={"castari": self.deployment, **metadata},
                    network={"allow_public_traffic": False},
                    lifecycle={"on_timeout": "pause" if pauses else "kill"},
                    idempotency_key=idempotency_key,
                    **self._options(_CREATE_SECONDS),
                )
        return _access(sandbox)

    async def start(
        self,
        access: SandboxAccess,
        command: str,
        *,
        environment: Mapping[str, SecretStr],
        timeout_seconds: float,
    ) -> RunningCommand:
        """Start a command in the background: one call, which is also the check that the sandbox lives.

        Raises `SandboxMissing` or another `VendorUnavailable` if nothing was started, `SandboxLost` if
        that cannot be known.
        """
        running = RunningCommand()
        try:
            handle = await self._sandbox(access).commands.run(
                command,
                background=True,
                envs={name: value.get_secret_value() for name, value in environment.items()},
                # Also ends the command itself; the SDK's own default is 60 s, for background commands too.
                timeout=timeout_seconds,
                request_timeout=_START_SECONDS,
                on_stdout=running.feed,
                retain_output=False,
            )
        except Exception as error:
            if definitely_not_started(error):
                raise translate(error) from error
            raise SandboxLost(f"the start was not confirmed ({type(error).__name__})") from error
        running.follow(handle)
        return running

    async def begin(self, access: SandboxAccess, command: str) -> None:
        """Start a command that runs for as long as the sandbox lives, and leave it alone.

        Raises as `start` does.
        """
        running = await self.start(access, command, environment={}, timeout_seconds=0)
        await running.let_go()

    async def kill(self, sandbox_id: str) -> bool:
        """End a sandbox; tell whether it was there. Raises `VendorUnavailable`."""
        with creation_errors():
            killed = bool(await e2b.AsyncSandbox.kill(sandbox_id, **self._options(_CALL_SECONDS)))
        self.ended(sandbox_id)
        return killed

    async def set_timeout(self, sandbox_id: str, seconds: int) -> None:
        """Let a sandbox end by itself `seconds` from now. Raises `SandboxMissing`, `SandboxLost`."""
        with sandbox_errors():
            await e2b.AsyncSandbox.set_timeout(sandbox_id, seconds, **self._options(_CALL_SECONDS))

    async def connect(self, sandbox_id: str, *, timeout_seconds: int) -> SandboxAccess:
        """Return the way into a sandbox, resumed if it was paused, for at least `timeout_seconds` from now.

        Raises `SandboxMissing`, `VendorUnavailable`: either way nothing was started in it.
        """
        with creation_errors():
            sandbox = await e2b.AsyncSandbox.connect(
                sandbox_id, timeout=timeout_seconds, **self._options(_CREATE_SECONDS)
            )
        return _access(sandbox)

    async def pause(self, sandbox_id: str) -> None:
        """Pause a sandbox; one that is paused is fine. Raises `SandboxMissing`, `VendorUnavailable`."""
        with creation_errors():
            await e2b.AsyncSandbox.pause(sandbox_id, **self._options(_PAUSE_SECONDS))

    async def snapshot(self, sandbox_id: str) -> str:
        """Keep a sandbox's state; return what `create` takes as a template. Raises `SandboxLost`."""
        with sandbox_errors():
            kept = await e2b.AsyncSandbox.create_snapshot(sandbox_id, **self._options(_SNAPSHOT_SECONDS))
        return str(kept.snapshot_id)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; one that is gone is fine. Raises `VendorUnavailable`."""
        with creation_errors():
            await e2b.AsyncSandbox.delete_snapshot(snapshot_id, **self._options(_CALL_SECONDS))

    async def snapshots_of(self, sandbox_id: str) -> list[str]:
        """Return the snapshots that were made of a sandbox. Raises `VendorUnavailable`."""
        pages = e2b.AsyncSandbox.list_snapshots(sandbox_id, limit=100, **self._options(_CALL_SECONDS))
        found: list[str] = []
        while pages.has_next:
            with creation_errors():
                found += [str(each.snapshot_id) for each in await pages.next_items()]
        return found

    async def list(self, **metadata: str) -> AsyncIterator[SandboxSummary]:
        """Yield our sandboxes that carry this metadata. Raises `VendorUnavailable`."""
        query = e2b.SandboxQuery(metadata={"castari": self.deployment, **metadata})
        pages = e2b.AsyncSandbox.list(query, limit=100, **self._options(_CALL_SECONDS))
        while pages.has_next:
            with creation_errors():
                page = await pages.next_items()
            for found in page:
                yield SandboxSummary(
                    sandbox_id=found.sandbox_id,
                    metadata=found.metadata,
                    started_at=found.started_at,
                    ends_at=found.end_at,
                    is_paused=found.state == e2b.SandboxState.PAUSED,
                )

    def _options(self, request_seconds: float) -> Any:  # noqa: ANN401 - the SDK's keyword arguments
        return {
            "api_key": self.api_key.get_secret_value(),
            "api_url": self.api_url or None,
            "sandbox_url": self.sandbox_url or None,
            "debug": False,
            "request_timeout": request_seconds,
        }

    def _sandbox(self, access: SandboxAccess) -> e2b.AsyncSandbox:
        """Return the SDK's object for a sandbox whose token we hold; `connect` would cost a call."""
        token = access.access_token.get_secret_value()
        headers = {
            "X-Access-Token": token,
            "E2b-Sandbox-Id": access.sandbox_id,
            "E2b-Sandbox-Port": str(ConnectionConfig.envd_port),
        }
        return e2b.AsyncSandbox(
            sandbox_id=access.sandbox_id,
            sandbox_domain=access.domain,
            envd_version=Version(access.envd_version),
            envd_access_token=token,
            traffic_access_token=None,
            connection_config=ConnectionConfig(extra_sandbox_headers=headers, **self._options(_CALL_SECONDS)),
        )


def _access(sandbox: e2b.AsyncSandbox) -> SandboxAccess:
    # The SDK keeps these two to itself; the contract test holds them.
    return SandboxAccess(
        sandbox_id=sandbox.sandbox_id,
        access_token=SecretStr(sandbox._envd_access_token or ""),  # noqa: SLF001
        envd_version=str(sandbox._envd_version),  # noqa: SLF001
        domain=sandbox.sandbox_domain,
    )
