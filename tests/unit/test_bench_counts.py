"""What the benches count: calls up to the agent's start, and billed milliseconds."""

import io
import tarfile
from pathlib import Path

import pytest

from bench.agents import pack
from bench.billing import billed_milliseconds
from bench.calls import up_to_start
from bench.counting_proxy import Call
from bench.leaks import surplus
from bench.soak import Footing, growth
from local.sandboxes.namespaces.inventory import Inventory

START = "POST /process.Process/Start"


def test_calls_count_up_to_the_runner_start_itself() -> None:
    calls = [Call(3.0, "DELETE /sandboxes/a"), Call(2.0, START), Call(1.0, "POST /v2/sandboxes")]
    assert [call.name for call in up_to_start(calls)] == ["POST /v2/sandboxes", START]


def test_a_window_without_a_start_is_an_error_not_a_low_count() -> None:
    with pytest.raises(ValueError, match="no call through the proxy started a process"):
        up_to_start([Call(1.0, "POST /v2/sandboxes")])


def test_only_requests_that_worked_for_the_invocation_are_added_up() -> None:
    messages = [
        '{"message":"start","function_request_id":"a","invocation_id":"inv_1"}',
        "REPORT RequestId: a\tDuration: 12.3 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB",
        '{"message":"maintenance","function_request_id":"b","sandbox_id":"i1"}',
        "REPORT RequestId: b\tDuration: 0.42 ms\tBilled Duration: 0.5 ms\tMemory Size: 512 MB",
        '{"message":"start","function_request_id":"c","invocation_id":"inv_2"}',
        "REPORT RequestId: c\tDuration: 900 ms\tBilled Duration: 900 ms\tMemory Size: 512 MB",
        "inv_1 in a line that is no event",
    ]
    assert billed_milliseconds(messages, ["inv_1", '"sandbox_id":"i1"']) == 13.5


def test_a_change_makes_another_bundle_with_the_same_lockfile(tmp_path: Path) -> None:
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "node_modules" / "left-out").mkdir(parents=True)
    (tmp_path / "node_modules" / "left-out" / "index.js").write_text("")
    first, second = pack(tmp_path, "a"), pack(tmp_path, "b")
    assert _files(first) == {"package-lock.json": b"{}", "CHANGE.md": b"a"}
    assert _files(second) == {"package-lock.json": b"{}", "CHANGE.md": b"b"}


def _files(bundle: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {name: content.read() for name, content in members if content}


def test_fewer_of_one_thing_does_not_hide_more_of_another() -> None:
    before = Inventory(5, 5, 5, 5, 1, 5, 5)
    after = Inventory(3, 6, 5, 5, 1, 7, 5)
    assert surplus(before, after) == 3


def test_memory_that_rises_through_the_second_half_is_growth() -> None:
    assert growth([Footing(10.0 + step, 20) for step in range(10)]) == Footing(3.0, 0)


def test_memory_that_only_swings_is_no_growth() -> None:
    assert growth([Footing(10.0 + step % 2, 20 + step % 2) for step in range(10)]).memory_mb <= 0
