"""What a bench run writes: the figures, ratios and counts that were measured, and nothing else."""

import json
from pathlib import Path

import pytest

from bench.__main__ import PARTS, main
from bench.report import Report, percentile


@pytest.mark.parametrize(
    ("samples", "rank", "value"),
    [([5.0], 0.5, 5.0), ([5.0], 0.99, 5.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0)],
)
def test_a_percentile_is_a_sample_by_nearest_rank(samples: list[float], rank: float, value: float) -> None:
    assert percentile(samples, rank) == value


def test_the_99th_percentile_of_a_hundred_leaves_one_above() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0


def test_times_are_kept_in_the_unit_of_the_name() -> None:
    report = Report()
    with report.timed("x_ms"):
        pass
    with report.timed("x_s"):
        pass
    assert report.samples["x_ms"][0] > report.samples["x_s"][0]


def test_a_block_that_fails_leaves_no_sample() -> None:
    report = Report()
    with pytest.raises(ZeroDivisionError), report.timed("x_ms"):
        _ = 1 / 0
    assert report.p50("x_ms") is None


def test_a_ratio_with_a_side_that_was_not_measured_is_absent() -> None:
    report = Report()
    report.samples["over_ms"] = [3.0]
    report.ratio("over_under", "over_ms", "under_ms")
    assert report.ratios == {}


def test_a_ratio_divides_the_medians() -> None:
    report = Report()
    report.samples["over_ms"] = [1.0, 3.0, 9.0]
    report.samples["under_ms"] = [2.0]
    report.ratio("over_under", "over_ms", "under_ms")
    assert report.ratios == {"over_under": 1.5}


def test_the_results_file_has_the_agreed_shape(tmp_path: Path) -> None:
    report = Report()
    report.samples["x_ms"] = [1.0, 2.0, 3.0]
    report.counts["leaked_after_cycles"] = 0
    report.leave_out("y_ms", "no server")
    report.write(tmp_path / "latest.json")
    document = json.loads((tmp_path / "latest.json").read_text())
    assert document["figures"] == {"x_ms": {"p50": 2.0, "p99": 3.0, "n": 3}}
    assert document["counts"] == {"leaked_after_cycles": 0}
    assert document["ratios"] == {}
    assert document["machine"].keys() == {"cores", "memory_gb", "kernel", "python", "node"}
    assert document["commit"]


def test_the_table_says_what_was_left_out_and_why() -> None:
    report = Report()
    report.leave_out("y_ms", "no server")
    assert "y_ms" in str(report)
    assert "left out: no server" in str(report)


def test_an_unknown_part_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandboxes"]) == 2
    assert ", ".join(PARTS) in capsys.readouterr().err


def test_what_is_measured_beside_a_bare_run_is_printed_as_a_multiple_of_it() -> None:
    report = Report()
    report.samples |= {"bare_ms": [20.0], "made_ms": [50.0], "built_s": [2.0]}
    report.beside("bare_ms", "made_ms", "built_s", "unmeasured_ms")
    lines = {line.split()[0]: line for line in str(report).splitlines()}
    assert lines["made_ms"].endswith(" 2.50 x")
    assert lines["built_s"].endswith(" 100.00 x")
    assert not lines["bare_ms"].endswith("x")
