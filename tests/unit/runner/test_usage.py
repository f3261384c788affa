"""What an agent says it used is added up, and whatever else it writes there counts for nothing."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runner.usage import collect

from castari.reports import ReportedUsage

NOTHING = {"input_tokens": 0, "output_tokens": 0, "cost_micro_dollars": 0}


def _collected(path: Path, content: bytes) -> dict[str, int]:
    path.write_bytes(content)
    return _of_file(path)


def _of_file(path: Path) -> dict[str, int]:
    return collect(str(path), b"", "/nonexistent", 0)


def test_lines_are_added_up_and_the_file_is_removed(tmp_path: Path) -> None:
    lines = [{"input_tokens": 5, "output_tokens": 2, "cost_usd": 0.25}, {"input_tokens": 1}]
    path = tmp_path / "usage"
    found = _collected(path, "\n".join(map(json.dumps, lines)).encode())
    assert found == {"input_tokens": 6, "output_tokens": 2, "cost_micro_dollars": 250_000}
    assert not path.exists()


def test_a_result_of_the_claude_agent_sdk_counts_as_it_is(tmp_path: Path) -> None:
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 7}
    line = {"type": "result", "total_cost_usd": 0.01, "usage": {**usage, "output_tokens": 4}}
    found = _collected(tmp_path / "usage", json.dumps(line).encode())
    assert found == {"input_tokens": 20, "output_tokens": 4, "cost_micro_dollars": 10_000}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[1]",
        b'{"input_tokens": -1}',
        b'{"input_tokens": true}',
        b'{"input_tokens": NaN, "cost_usd": Infinity}',
        b'{"input_tokens": "9", "usage": 3}',
        b"[" * 60_000,
    ],
)
def test_what_is_no_usage_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    assert _collected(tmp_path / "usage", content) == NOTHING


def test_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_text('{"input_tokens": 1}')
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing"):
        assert _of_file(tmp_path / name) == NOTHING


def test_lines_of_the_file_and_of_the_descriptor_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text('{"input_tokens": 1}')
    said = b'no json\n{"input_tokens": 2, "output_tokens": 5}\n{"input_tokens": 4'
    found = collect(str(tmp_path / "usage"), said, "/nonexistent", 0)
    assert found == {"input_tokens": 3, "output_tokens": 5, "cost_micro_dollars": 0}


@given(
    st.dictionaries(st.sampled_from([*NOTHING, "other"]), st.none() | st.integers() | st.text() | st.floats())
)
def test_whatever_a_report_claims_is_bounded_and_spoils_nothing(claims: dict[str, object]) -> None:
    counted = ReportedUsage.model_validate(claims)
    assert all(0 <= getattr(counted, name) <= 10**12 for name in NOTHING)
