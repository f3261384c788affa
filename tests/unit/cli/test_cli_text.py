"""Numbers, times and foreign words as a terminal shows them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cast.console import printable
from cast.text import byte_size, counted, moment, moment_exactly


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 KB"), (1536, "1.5 KB"), (250 * 1024**2, "250 MB"),
        (3 * 1024**3, "3.0 GB"), (5000 * 1024**3, "5000.0 GB"),
    ],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    assert byte_size(count) == text


def test_moments_and_counts() -> None:
    assert moment("2026-01-02T03:04:05.000006Z") == "2026-01-02 03:04:05Z"
    assert moment(None) == "-"
    assert moment_exactly("2026-01-02T03:04:05.678901Z") == "2026-01-02 03:04:05.678Z"
    assert moment_exactly("2026-01-02T03:04:05Z") == "2026-01-02 03:04:05.000Z"
    assert (counted(1, "file"), counted(2, "file")) == ("1 file", "2 files")


@given(st.text(st.characters(categories=("Cc", "Cf", "Cs", "Lu", "So"))))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert len(shown) == len(text)
