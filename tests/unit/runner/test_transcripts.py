"""Transcripts of Claude Code are counted once for each answer; hostile ones cost little and spoil nothing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runner import transcripts
from runner.transcripts import answers
from runner.usage import collect

SINCE = 1_767_225_600.25
"""2026-01-01T00:00:00.250Z"""
LATER = "2026-01-01T00:00:01.000Z"


def _line(
    message: str, output: int, *, at: str = LATER, request: str | None = "req_1", **more: object
) -> str:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": output}
    told = {"type": "assistant", "timestamp": at, "message": {"id": message, "usage": usage}}
    return json.dumps(told | ({"requestId": request} if request else {}) | more)


def _write(folder: Path, *lines: str, name: str = "-agent/session.jsonl") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    return file


def _output(folder: Path) -> int:
    return collect("/nonexistent", b"", str(folder), SINCE)["output_tokens"]


def test_an_answer_of_several_lines_counts_once_with_all_its_tokens(tmp_path: Path) -> None:
    _write(tmp_path, _line("msg_1", 2), _line("msg_1", 40), _line("msg_1", 40), _line("msg_2", 5))
    found = collect("/nonexistent", b"", str(tmp_path), SINCE)
    assert found == {"input_tokens": 220, "output_tokens": 45, "cost_micro_dollars": 0}


def test_the_same_answer_in_another_file_counts_once_and_subagents_count(tmp_path: Path) -> None:
    _write(tmp_path, _line("msg_1", 2), _line("msg_2", 3))
    _write(tmp_path, _line("msg_2", 3), name="-agent/copy.jsonl")
    _write(tmp_path, _line("msg_3", 5), name="-agent/session/subagents/agent-1.jsonl")
    assert _output(tmp_path) == 10


def test_a_gateway_that_names_no_request_is_counted_by_message(tmp_path: Path) -> None:
    _write(tmp_path, _line("a", 2, request=None), _line("b", 3, request=None), _line("b", 3, request=None))
    assert _output(tmp_path) == 5


def test_a_resumed_session_counts_from_this_invocation_on(tmp_path: Path) -> None:
    earlier, just_then = "2026-01-01T00:00:00.249Z", "2026-01-01T00:00:00.250Z"
    _write(tmp_path, _line("msg_1", 1_000, at=earlier), _line("msg_2", 2, at=just_then), _line("msg_3", 3))
    assert _output(tmp_path) == 5


def test_a_file_that_nobody_wrote_to_since_is_not_read(tmp_path: Path) -> None:
    file = _write(tmp_path, _line("msg_1", 2))
    os.utime(file, (SINCE - 2, SINCE - 2))
    assert _output(tmp_path) == 0


def test_what_an_earlier_version_says_of_the_cost_counts(tmp_path: Path) -> None:
    _write(tmp_path, _line("msg_1", 2, costUSD=0.25))
    assert collect("/nonexistent", b"", str(tmp_path), SINCE)["cost_micro_dollars"] == 250_000


def test_a_report_of_the_agent_itself_wins(tmp_path: Path) -> None:
    _write(tmp_path, _line("msg_1", 2))
    told = collect("/nonexistent", b'{"output_tokens": 8}', str(tmp_path), SINCE)
    assert told["output_tokens"] == 8
    assert collect("/nonexistent", b"no json", str(tmp_path), SINCE)["output_tokens"] == 2


def test_pipes_links_devices_and_loops_neither_block_nor_lead_away(tmp_path: Path) -> None:
    projects, elsewhere = tmp_path / "projects", tmp_path / "elsewhere"
    _write(elsewhere, _line("away", 1_000))
    _write(projects, _line("msg_1", 2))
    os.mkfifo(projects / "-agent" / "pipe.jsonl")
    (projects / "-agent" / "zero.jsonl").symlink_to("/dev/zero")
    (projects / "-agent" / "file.jsonl").symlink_to(elsewhere / "-agent" / "session.jsonl")
    (projects / "-agent" / "folder.jsonl").mkdir()
    (projects / "away").symlink_to(elsewhere)
    (projects / "loop").symlink_to(projects)
    assert _output(projects) == 2


def test_a_folder_of_folders_is_read_to_a_depth(tmp_path: Path) -> None:
    _write(tmp_path, _line("msg_1", 2), name="a/b/c/near.jsonl")
    _write(tmp_path, _line("msg_2", 3), name="a/b/c/d/far.jsonl")
    assert _output(tmp_path) == 2


def test_of_a_huge_file_the_end_is_read_and_no_more_than_the_bound_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "_MOST_BYTES", 4_096)
    file = _write(tmp_path, _line("front", 1_000))
    with file.open("ab") as more:
        more.truncate(5_000_000_000)
        more.seek(0, os.SEEK_END)
        more.write(b"\n" + _line("end", 2).encode())
    assert _output(tmp_path) == 2


def test_a_flood_of_files_ends_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "_MOST_ENTRIES", 10)
    for number in range(30):
        _write(tmp_path, _line(f"msg_{number}", 1), name=f"-agent/{number}.jsonl")
    assert 0 < _output(tmp_path) < 10


@pytest.mark.parametrize(
    "line",
    [
        '"assistant" "usage" no json',
        "[" * 100_000 + '"usage""assistant"',
        '{"a":' * 50_000 + '"usage""assistant"',
        '["assistant", "usage"]',
        '{"type": "assistant", "message": {"usage": 3}}',
        _line("msg_1", 9).replace('"msg_1"', "[]"),
        _line("msg_1", 9, at="yesterday"),
        _line("msg_1", 9, request=None, requestId={}),
    ],
)  # fmt: skip
def test_a_line_that_is_none_of_an_answer_counts_for_nothing(tmp_path: Path, line: str) -> None:
    _write(tmp_path, line, _line("msg_2", 2))
    assert _output(tmp_path) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(usage=JSON, message=JSON, request=JSON, at=JSON | st.just(LATER), cost=JSON)
def test_whatever_is_in_a_line_breaks_nothing(
    tmp_path_factory: pytest.TempPathFactory, usage: Any, message: Any, request: Any, at: Any, cost: Any
) -> None:
    folder = tmp_path_factory.mktemp("projects")
    entry = {"type": "assistant", "timestamp": at, "requestId": request, "costUSD": cost}
    _write(folder, json.dumps(entry | {"message": {"id": message, "usage": usage}}))
    _write(folder, json.dumps(entry | {"message": {"id": "m", "usage": {"output_tokens": usage}}}))
    found = collect("/nonexistent", b"", str(folder), SINCE)
    assert found.keys() == {"input_tokens", "output_tokens", "cost_micro_dollars"}
    assert all(type(each) is int and each >= 0 for each in found.values())
    assert len(answers(str(folder), SINCE)) <= 2  # Lines.
