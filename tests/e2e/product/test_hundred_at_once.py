"""A hundred queued invocations at once: all are answered, and no more start at a time than is set."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

import pytest

from bench.calls import proxied
from bench.counting_proxy import Moment
from bench.stack import Stack
from local.demo.stage import Stage, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.root, pytest.mark.timeout(600)]
COUNT = 100
_STARTING = ("POST /sandboxes", "POST /process.Process/Start")
"""What a worker of `start` asks of the sandbox service for a start, one after the other."""
_PATIENCE_SECONDS = 400


@dataclass
class Starting:
    """How many starts are under way, and the most that were at any time."""

    now: int = 0
    most: int = 0
    in_all: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def note(self, name: str, moment: Moment) -> None:
        """Count a call that comes in, or out once its answer has begun."""
        if name not in _STARTING:
            return
        with self._lock:
            self.now += 1 if moment == "come" else -1
            self.most = max(self.most, self.now)
            self.in_all[name] += moment == "come"


def test_a_hundred_at_once_are_all_answered_and_as_many_start_at_a_time_as_the_setting_says(
    stage: Stage, hello: str, tell: Callable[[str], None]
) -> None:
    stack, starting = Stack(stage.environment, stage.http), Starting()
    cap = _start_concurrency(stack)
    prompts = [f"crowd-{number}" for number in range(COUNT)]
    with proxied(stack, "Start") as (_, e2b):
        for proxy in e2b:
            proxy.watch = starting.note
        made = stage.http.post(f"/agents/{hello}/invocations/batch", json={"prompts": prompts})
        ids = [each["invocation_id"] for each in made.raise_for_status().json()["invocations"]]
        wait_until(lambda: not _open(stage, hello), f"{COUNT} invocations to end", _PATIENCE_SECONDS)

    rows = [stage.get(f"/agents/{hello}/invocations/{each}") for each in ids]
    assert [row["response_content"] for row in rows] == [f"Hello, {prompt}!\n" for prompt in prompts]
    assert len({row["sandbox_id"] for row in rows}) == COUNT
    assert starting.in_all[_STARTING[1]] >= COUNT
    assert 1 < starting.most <= cap
    tell(f"{COUNT} at once: all answered, at most {starting.most} starts at a time of {cap} allowed")


def _start_concurrency(stack: Stack) -> int:
    """Return what `StartConcurrency` of this stack is."""
    name = stack.function("Start")["FunctionName"]
    (mapping,) = stack.functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    return int(mapping["ScalingConfig"]["MaximumConcurrency"])


def _open(stage: Stage, slug: str) -> bool:
    return any(
        stage.get(f"/agents/{slug}/invocations?status={status}&limit=1") for status in ("queued", "running")
    )
