"""docs/invocations.md draws the state machine that the module holds, and names every route it speaks of."""

import json
import re
from pathlib import Path
from typing import get_args

from castari.models import TERMINAL_STATUSES, FailureCode, RunEventName
from castari.services.invocation_states import STEPS, diagram

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/invocations.md").read_text()


def test_the_picture_is_the_machine() -> None:
    (drawn,) = re.findall(r"```mermaid\n(.*?)\n```", PAGE, re.DOTALL)
    assert drawn == diagram()
    for step in STEPS:
        assert f"{step.before} --> {step.after}: {step.when}" in drawn


def test_every_request_of_the_table_is_one_of_the_api() -> None:
    document = json.loads((REPOSITORY / "functions/api/openapi.json").read_text())
    table = PAGE.partition("| shape |")[2].partition("\n\n")[0]
    asked = re.findall(r"`(GET|POST|DELETE) …/(?:agents/\{slug\}/)?([^`?]+)", table)
    assert len(asked) >= 9
    for method, rest in asked:
        path = f"/api/v1/agents/{{slug}}/{rest.replace('{id}', '{invocation_id}')}"
        assert method.lower() in document["paths"][path], (method, path)


def test_every_event_of_a_log_is_told() -> None:
    table = PAGE.partition("| event |")[2].partition("\n\n")[0]
    names = [line.split("|")[1] for line in table.splitlines()[2:]]
    told = set(re.findall(r"`(\w+)`", "".join(names)))
    by_the_platform = {"accepted", "attempt_started", "attempt_lost", "ended"}
    failed = {f"{name.removesuffix('_stored')}_not_stored" for name in told if name.endswith("_stored")}
    assert "`…_not_stored`" in table
    assert told | failed == {*get_args(RunEventName), *by_the_platform}


def test_every_failure_is_told_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)
    assert {code for _, codes in rows for code in re.findall(r"\w+", codes)} == set(get_args(FailureCode))
    assert {status for status, _ in rows} == TERMINAL_STATUSES - {"completed"}
