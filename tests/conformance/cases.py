"""Counts the cases of the suite: one is one distinct call and outcome, however many SDKs see it."""

import re
from collections import defaultdict

FLAVOURS = ("sync", "async", "js")
"""The Python SDK's two, and the JavaScript SDK."""

_FLAVOUR = re.compile(rf"(?<=[\[-])(?:{'|'.join(FLAVOURS)})(?=[\]-])")


class Cases:
    """Which flavours saw which case."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, test: str) -> None:
        """Count a test by its id; one that knows no flavours is no case."""
        if found := _FLAVOUR.search(test):
            self._seen[_FLAVOUR.sub("", test)].add(found[0])

    def __len__(self) -> int:
        return len(self._seen)

    def summary(self) -> str:
        """One line for people."""
        each = [f"{name} {sum(name in seen for seen in self._seen.values())}" for name in FLAVOURS]
        return f"conformance: {len(self)} cases passed ({', '.join(each)})"
