"""The suite itself: that it stays as wide as it claims to be."""

import subprocess
import sys

from tests.conformance.cases import FLAVOURS, Cases
from tests.conformance.server import ROOT

FEWEST = 150


def test_a_case_counts_once_however_many_sdks_see_it() -> None:
    cases = Cases()
    for test in (
        "t.py::a[sync]",
        "t.py::a[async]",
        "t.py::a[js]",
        "t.py::b[sync-1]",
        "t.py::b[sync-2]",
        "t.py::c",
    ):
        cases.add(test)
    assert len(cases) == 3
    assert cases.summary() == "conformance: 3 cases passed (sync 3, async 1, js 1)"


def test_there_are_enough_cases_for_every_sdk() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/conformance"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    for flavour in FLAVOURS:
        cases = Cases()
        for test in listed:
            if f"[{flavour}" in test or f"-{flavour}" in test:
                cases.add(test)
        assert len(cases) >= FEWEST, f"{flavour}: {len(cases)} cases"
