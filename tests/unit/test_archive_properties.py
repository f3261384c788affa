"""Ten thousand bundles, hostile and odd: none crashes the checker, makes it write, or makes it large."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builder import unpack

from castari.services import archives
from tests.archives import well_formed

REPOSITORY = Path(__file__).parents[2]
COUNT, SEED, MOST_MEGABYTES = 10_000, 20_261_122, 64


@pytest.mark.timeout(300)
def test_ten_thousand_bundles_are_told_apart_without_a_write_a_crash_or_much_memory(
    tell: Callable[[str], None],
) -> None:
    paths = os.pathsep.join(str(REPOSITORY / each) for each in (".", "layers/application"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.archives.measure", str(COUNT), str(SEED)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["writes"] == []
    assert 0 < found["peak_megabytes"] <= MOST_MEGABYTES
    counts = found["counts"]
    assert counts["accepted"] + counts["refused"] >= COUNT
    assert counts["accepted"] >= COUNT // 4
    megabytes = f"{found['peak_megabytes']:.1f} MB"
    tell(f"{counts['accepted']} accepted, {counts['refused']} refused, {megabytes} at most")


def test_what_is_accepted_unpacks_to_what_was_packed(tmp_path: Path) -> None:
    rng = random.Random(SEED)  # noqa: S311 - the same bundles each time
    for number in range(300):
        case = well_formed.case(rng)
        archive, folder = tmp_path / f"{number}.bundle", tmp_path / str(number)
        archive.write_bytes(case.content)
        with archive.open("rb") as stream:
            bundle = archives.check(stream)
        assert unpack.unpack(archive, bundle.format, bundle.root, folder) >= 3, case.kind
        assert (folder / "index.js").read_bytes().startswith(b"process.stdin")
        assert not list(folder.glob("**/._*")), case.kind
