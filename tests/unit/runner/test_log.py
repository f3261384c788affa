"""What a run leaves for its log: events with their times, and stderr that is too long for a report."""

import json
from typing import Any

from tests.unit.runner.object_store import ObjectStore
from tests.unit.runner.runs import Run


def _names(report: dict[str, Any]) -> list[str]:
    times = [event["at_milliseconds"] for event in report["events"]]
    assert times == sorted(times)
    return [event["name"] for event in report["events"]]


def test_events_tell_what_happened_in_its_order_and_times_are_of_one_clock(run: Run) -> None:
    report = run("sh", "-c", "cat; sleep 0.2")
    assert _names(report) == ["agent_started", "stdin_closed", "agent_exited"]
    assert 200 <= report["events"][-1]["at_milliseconds"] <= report["agent_milliseconds"]
    assert report["began_at_milliseconds"] > 1_600_000_000_000


def test_a_prompt_that_is_fetched_and_not_read_is_told(run: Run, store: ObjectStore) -> None:
    store.objects["/prompt"] = b"x" * 900_000
    report = run("sh", "-c", "exec <&-; sleep 0.2", prompt=None)
    assert _names(report) == ["agent_started", "prompt_fetched", "stdin_refused", "agent_exited"]


def test_a_limit_that_is_reached_comes_before_the_end(run: Run) -> None:
    report = run("sleep", "60", timeout=0.3)
    assert _names(report)[:3] == ["agent_started", "stdin_closed", "limit_reached"]


def test_output_that_is_cut_is_told_once(run: Run) -> None:
    made = "cat >/dev/null; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"
    report = run("sh", "-c", made)
    assert sorted(_names(report)[2:]) == [
        "agent_exited", "answer_stored", "log_stored", "stderr_full", "stdout_full",
    ]  # fmt: skip


def test_long_stderr_is_stored_before_the_report_that_tells_of_it(run: Run, store: ObjectStore) -> None:
    report = run("sh", "-c", "seq 1 2000 >&2", attended=True)
    stored = store.objects["/log"]
    assert stored == "".join(f"{number}\n" for number in range(1, 2001)).encode()
    assert report["stderr_stored_bytes"] == report["stderr_bytes"] == len(stored)
    assert report["stderr"] == stored[-1_000:].decode()
    assert store.requests == ["PUT /log", "PUT /result"]


def test_of_stderr_beyond_the_cap_the_end_is_stored(run: Run, store: ObjectStore) -> None:
    report = run("sh", "-c", "seq 1 100000 >&2", log_bytes=5_000)
    assert len(store.objects["/log"]) == report["stderr_stored_bytes"] == 5_000
    assert store.objects["/log"].endswith(b"99999\n100000\n")
    assert report["stderr_bytes"] == 588_895


def test_stderr_that_is_no_text_is_stored_without_loss(run: Run, store: ObjectStore) -> None:
    run("sh", "-c", r"printf '\377\376' >&2; head -c 2000 /dev/zero >&2")
    assert store.objects["/log"] == b"\xff\xfe" + b"\0" * 2_000


def test_short_stderr_costs_no_put(run: Run, store: ObjectStore) -> None:
    report = run("sh", "-c", "echo short >&2")
    assert (report["stderr"], report["stderr_stored_bytes"]) == ("short\n", 0)
    assert store.requests == ["PUT /result"]


def test_a_store_that_takes_no_log_costs_neither_the_answer_nor_the_end_of_the_log(
    run: Run, store: ObjectStore
) -> None:
    store.refusals = [403]
    report = run("sh", "-c", "echo answer; seq 1 2000 >&2")
    assert (report["stdout"], report["stderr_stored_bytes"]) == ("answer\n", 0)
    assert report["stderr"].endswith("2000\n")
    assert _names(report)[-1] == "log_not_stored"
    assert json.loads(store.objects["/result"]) == report


def test_what_the_agent_says_on_descriptor_3_is_what_it_used(run: Run) -> None:
    said = """echo '{"input_tokens": 7}' >&3; echo '{"input_tokens": 1, "cost_usd": 0.5}' >&3"""
    assert run("sh", "-c", said)["usage"] == {
        "input_tokens": 8, "output_tokens": 0, "cost_micro_dollars": 500_000,
    }  # fmt: skip


def test_descriptor_3_may_be_closed_flooded_or_held_by_a_process_left_behind(run: Run) -> None:
    assert "usage" not in run("sh", "-c", "exec 3>&-; true")
    flooded = run("sh", "-c", "head -c 5000000 /dev/zero >&3; echo done")
    assert (flooded["stdout"], flooded["exit_code"]) == ("done\n", 0)
    assert flooded["usage"]["input_tokens"] == 0
    held = run("sh", "-c", """echo '{"input_tokens": 7}' >&3; setsid sleep 5 >/dev/null 2>&1 & echo done""")
    assert (held["stdout"], held["usage"]["input_tokens"]) == ("done\n", 7)
    assert held["events"][-1]["name"] == "agent_exited"


def test_what_an_sdk_wrote_down_counts_where_the_agent_says_nothing(run: Run) -> None:
    line = '{"type": "assistant", "timestamp": "%s", "message": {"id": "%s", "usage": {"output_tokens": 3}}}'
    script = f"""
    mkdir -p ~/.claude/projects/-p
    (printf '{line}\\n' $(date -u +%FT%T.%3NZ) msg_1; printf '{line}\\n' 2020-01-01T00:00:00.000Z msg_0) \
        > ~/.claude/projects/-p/s.jsonl
    """
    assert run("sh", "-c", script)["usage"]["output_tokens"] == 3
    told = script + """echo '{"output_tokens": 8}' >&3"""
    assert run("sh", "-c", told)["usage"]["output_tokens"] == 8
