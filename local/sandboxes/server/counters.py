"""What the server counts, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Counters:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._all = registry = CollectorRegistry()
        prefix = "castari_sandbox"
        self._create_seconds = Histogram(
            f"{prefix}_create_seconds", "Time to make a sandbox.", buckets=_BUCKETS, registry=registry
        )
        self._created = Counter(f"{prefix}es_created", "Sandboxes made.", registry=registry)
        self._ended = Counter(f"{prefix}es_ended", "Sandboxes ended.", ["reason"], registry=registry)
        self._refused = Counter(
            f"{prefix}_requests_refused", "Requests answered with an error.", ["status"], registry=registry
        )
        self._existing = Gauge(f"{prefix}es", "Sandboxes that exist now.", ["state"], registry=registry)
        self._prepared = Gauge(f"{prefix}_pool", "Sandboxes ready for requests.", registry=registry)

    def created(self, seconds: float) -> None:
        """Count a sandbox and how long it took."""
        self._created.inc()
        self._create_seconds.observe(seconds)

    def ended(self, reason: str) -> None:
        """Count an end."""
        self._ended.labels(reason).inc()

    def refused(self, status: int) -> None:
        """Count a request that was not granted."""
        self._refused.labels(str(status)).inc()

    def to_text(self, states: Iterable[str], prepared: int) -> bytes:
        """All numbers, given the state of each sandbox and the size of the pool now."""
        counted = Tally(states)
        for state in ("running", "paused"):
            self._existing.labels(state).set(counted[state])
        self._prepared.set(prepared)
        return generate_latest(self._all)
