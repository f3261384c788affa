"""What a sandbox uses, as E2B's metrics have it."""

from datetime import UTC, datetime
from typing import Any

from local.sandboxes.server.sandbox import Sandbox

_MIB = 1024 * 1024


async def measure(sandbox: Sandbox) -> dict[str, Any]:
    """One sample. CPU use is the mean since the sandbox began, in percent of one core."""
    usage = await sandbox.guest.usage()
    limits, now = sandbox.guest.spec.limits, datetime.now(UTC)
    lived_ns = (now - sandbox.started_at).total_seconds() * 1e9
    return {
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "timestampUnix": int(now.timestamp()),
        "cpuCount": limits.cpu_count,
        "cpuUsedPct": round(100 * usage.cpu_ns / max(lived_ns, 1.0), 2),
        "memUsed": usage.memory_bytes,
        "memTotal": limits.memory_mb * _MIB,
        "memCache": 0,
        "diskUsed": usage.disk_bytes,
        "diskTotal": limits.disk_mb * _MIB,
    }
