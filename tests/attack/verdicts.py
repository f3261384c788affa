"""What the probe tells of each attempt, and how a run of it is led."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """How one attempt ended. `harm` says what others noticed of it, which makes it a success."""

    attempt: str
    state: Literal["holding", "refused", "succeeded"]
    reason: str
    detail: str
    harm: str = ""


def read_verdicts(
    lines: Iterable[str], go_on: Callable[[], None], look_around: Callable[[str], str]
) -> dict[str, Verdict]:
    """Follow the probe's events to their end.

    At each one the probe waits: `look_around` tells what others suffer meanwhile, empty for nothing,
    and `go_on` lets the probe continue.
    """
    verdicts: dict[str, Verdict] = {}
    harms: dict[str, str] = {}
    for line in lines:
        event = json.loads(line)
        name = event["attempt"]
        harm = look_around(event["state"])
        if harm:
            harms.setdefault(name, f"{event['state']}: {harm}")
        if event["state"] != "holding":
            verdicts[name] = Verdict(**event, harm=harms.get(name, ""))
        go_on()
    return verdicts
