"""What sandboxes used over time: a sample of each every few seconds, the latest of them kept."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.sandboxes.engine import EngineError, EngineSandbox, Usage

if TYPE_CHECKING:
    from local.sandboxes.server.registry import Registry

SAMPLE_SECONDS = 5.0
MAX_SAMPLES = 720
"""An hour of them."""

_CLOSEST_SECONDS = 1.0
"""Samples that are asked for more often are answered, and not kept."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sandbox used at one time, and how busy it was since the sample before."""

    at: datetime
    usage: Usage
    cpu_used_pct: float


class History:
    """The samples of one sandbox."""

    def __init__(self, guest: EngineSandbox, started_at: datetime) -> None:
        self._guest = guest
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._before = (started_at, 0)

    def follow(self, guest: EngineSandbox) -> None:
        """Measure another one from now on: the same sandbox, started again."""
        self._guest, self._before = guest, (datetime.now(UTC), 0)

    async def measure(self) -> Sample:
        """Take a sample now. Raises `EngineError` if the sandbox has ended."""
        usage = await self._guest.usage()
        now = datetime.now(UTC)
        since, cpu_ns = self._before
        seconds = max((now - since).total_seconds(), 1e-3)
        cores = self._guest.spec.limits.cpu_count
        sample = Sample(now, usage, round(100 * (usage.cpu_ns - cpu_ns) / (seconds * 1e9 * cores), 2))
        if not self._samples or seconds >= _CLOSEST_SECONDS:
            self._samples.append(sample)
            self._before = (now, usage.cpu_ns)
        return sample

    def between(self, start: int, end: int) -> Iterator[Sample]:
        """The samples of a span, in whole seconds since 1970, both ends included."""
        return (each for each in self._samples if start <= int(each.at.timestamp()) <= end)

    def to_json(self, samples: Iterable[Sample]) -> list[dict[str, Any]]:
        """Samples as E2B's metrics have them. CPU use is in percent of all that the sandbox may use."""
        return [self._to_json(each) for each in samples]

    def _to_json(self, sample: Sample) -> dict[str, Any]:
        limits = self._guest.spec.limits
        return {
            "timestamp": sample.at.isoformat().replace("+00:00", "Z"),
            "timestampUnix": int(sample.at.timestamp()),
            "cpuCount": limits.cpu_count,
            "cpuUsedPct": sample.cpu_used_pct,
            "memUsed": sample.usage.memory_bytes,
            "memTotal": limits.memory_mb * _MIB,
            "memCache": sample.usage.cache_bytes,
            "diskUsed": sample.usage.disk_bytes,
            "diskTotal": limits.disk_mb * _MIB,
        }


async def keep_measuring(registry: "Registry", seconds: float = SAMPLE_SECONDS) -> None:
    """Sample all running sandboxes, again and again, one after the other over the time between."""
    while True:
        running = [sandbox for sandbox in registry if sandbox.state == "running"]
        for sandbox in running:
            with suppress(EngineError):  # It ended meanwhile.
                await sandbox.history.measure()
            await asyncio.sleep(seconds / len(running))
        if not running:
            await asyncio.sleep(seconds)
