"""What is kept of sandboxes' use and events, bounded, over an engine in memory."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.sandboxes.engine import SandboxSpec
from local.sandboxes.server.errors import SandboxMissingError
from local.sandboxes.server.history import History
from local.sandboxes.server.journal import LEVELS, MAX_ENDED, MAX_ENTRIES, EndedJournals, Journal, Search
from tests.unit.fake_engine import FakeEngine, FakeSandbox

levels = st.sampled_from(LEVELS)


def _guest() -> FakeSandbox:
    return FakeSandbox(SandboxSpec("i1"), FakeEngine())


async def test_samples_taken_in_one_second_are_answered_and_not_kept() -> None:
    history = History(_guest(), datetime.now(UTC) - timedelta(seconds=10))
    for _ in range(3):
        assert (await history.measure()).usage.memory_bytes == 1
    assert len(list(history.between(0, 2**40))) == 1


async def test_a_span_has_both_its_ends() -> None:
    history = History(_guest(), datetime.now(UTC) - timedelta(seconds=10))
    at = int((await history.measure()).at.timestamp())
    assert len(list(history.between(at, at))) == 1
    assert list(history.between(at + 1, at + 2)) == list(history.between(at - 2, at - 1)) == []


@given(st.lists(st.tuples(levels, st.text(max_size=3)), max_size=30), levels, st.integers(0, 10))
def test_a_search_finds_what_is_loud_enough_from_either_end(
    told: list[tuple[str, str]], level: str, limit: int
) -> None:
    journal = Journal("i1")
    for each, message in told:
        journal.note(message, each)  # type: ignore[arg-type]
    expected = [text for each, text in told if LEVELS.index(each) >= LEVELS.index(level)]
    forward = Search(limit=limit, level=level).of(journal)  # type: ignore[arg-type]
    backward = Search(limit=limit, level=level, backward=True).of(journal)  # type: ignore[arg-type]
    assert [each.message for each in forward] == expected[:limit]
    assert [each.message for each in backward] == expected[::-1][:limit]


def test_a_journal_keeps_its_latest_entries() -> None:
    journal = Journal("i1")
    for number in range(MAX_ENTRIES + 1):
        journal.note(str(number))
    found = Search().of(journal)
    assert (len(found), found[0].message, found[-1].message) == (MAX_ENTRIES, "1", str(MAX_ENTRIES))


def test_so_many_ended_sandboxes_still_tell_what_happened() -> None:
    ended = EndedJournals()
    for number in range(MAX_ENDED + 1):
        ended.keep(Journal(f"i{number}"))
    assert ended.get(f"i{MAX_ENDED}").sandbox_id == f"i{MAX_ENDED}"
    with pytest.raises(SandboxMissingError):
        ended.get("i0")
