"""Checks many bundles in a process of its own, where every write and all memory can be watched.

`python -m tests.archives.measure COUNT SEED` prints what came of it as JSON.
"""

import io
import json
import os
import random
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

from castari.errors import Unprocessable
from castari.services import archives
from tests.archives import damaged, hostile_tar, hostile_zip, well_formed
from tests.archives.packing import Case

_MAKERS = (well_formed.case, hostile_tar.case, hostile_zip.case, damaged.case)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = frozenset(
    {
        *("os.mkdir", "os.symlink", "os.link", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.chown"),
        *("os.truncate", "subprocess.Popen", "os.system", "os.exec", "os.fork", "socket.connect"),
    }
)
_TRACED_FROM_BYTES = 50_000
"""Tracing memory takes time: small bundles are traced one in ten."""


class Watch:
    """Notes whatever is written, made or started: only a file without a name may be."""

    def __init__(self) -> None:
        self.on = False
        self.writes: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            # What is opened as the folder itself has no name in it.
            self.writes += [f"open {arguments[0]}"] * (arguments[0] != tempfile.gettempdir())
        elif event in _CHANGING:
            self.writes.append(f"{event} {arguments[0]}")


def main(count: int, seed: int) -> dict[str, Any]:
    """Check so many bundles; return what was accepted, refused, and wrong."""
    watch = Watch()
    sys.addaudithook(watch)
    tempfile.gettempdir()  # finds out by writing
    rng = random.Random(seed)  # noqa: S311 - the same bundles each time
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    peak = 0
    for number, case in enumerate(_cases(rng, count)):
        watch.on = True
        told, memory = _traced(case) if _is_traced(number, case) else (_check(case), 0)
        watch.on = False
        counts[told.split(":")[0]] += 1
        counts[case.kind] += 1
        wrong += [f"{number} {case.kind}: {told}"] * (not _is_right(case, told))
        peak = max(peak, memory)
    return {"counts": counts, "wrong": wrong, "writes": watch.writes, "peak_megabytes": peak / 1024**2}


def _cases(rng: random.Random, count: int) -> Iterator[Case]:
    """Yield each of the costly kinds, and then what chance brings."""
    for kinds in (hostile_tar.COSTLY, hostile_zip.COSTLY):
        for kind, make in kinds.items():
            content, named = make(rng)
            yield Case(f"costly: {kind}", content, accepted=False, named=named)
    yield well_formed.largest(rng)
    for number in range(count):
        yield _MAKERS[number % len(_MAKERS)](rng)


def _is_traced(number: int, case: Case) -> bool:
    return number % 10 == 0 or len(case.content) > _TRACED_FROM_BYTES


def _traced(case: Case) -> tuple[str, int]:
    """Check a bundle; return what was told, and how much memory that took at most, in bytes."""
    tracemalloc.start()
    try:
        return _check(case), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _check(case: Case) -> str:
    try:
        archives.check(io.BytesIO(case.content))
    except Unprocessable as error:
        return f"refused: {error}"
    except Exception as error:  # noqa: BLE001 - that is what is asked
        return f"crashed: {type(error).__name__} {error}"
    return "accepted"


def _is_right(case: Case, told: str) -> bool:
    if case.kind == "damaged":
        return not told.startswith("crashed")
    if case.accepted:
        return told == "accepted"
    return told.startswith("refused") and case.named in told


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
