"""Hundreds of invocations: each gets its own answer, and nothing stays behind."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.leaks import settled
from local.demo.stage import Stage, StepFailed, wait_until
from local.places import REPOSITORY, Places

pytestmark = [pytest.mark.stack, pytest.mark.root, pytest.mark.timeout(600)]
IN_A_ROW = 200
AT_ONCE = 20


def test_two_hundred_in_a_row_and_twenty_at_once_answer_their_own_nonce_and_leave_nothing(
    stage: Stage, hello: str, tell: Callable[[str], None]
) -> None:
    # As many workers of the functions as will be needed: starting them all takes a small machine seconds.
    for at_once in (AT_ONCE // 4, AT_ONCE // 2, AT_ONCE):
        _invoke_at_once(stage, hello, [f"warm-up-{n}" for n in range(at_once)])
    _settle(stage, hello)
    before = _inventory(stage)

    answers = {f"row-{n}": stage.invoke(hello, f"row-{n}") for n in range(IN_A_ROW)}
    answers |= _invoke_at_once(stage, hello, [f"once-{n}" for n in range(AT_ONCE)])

    wrong = {p: a for p, a in answers.items() if a["response_content"] != f"Hello, {p}!\n"}
    assert not wrong
    sandboxes = Counter(answer["sandbox_id"] for answer in answers.values())
    assert len(sandboxes) == IN_A_ROW + AT_ONCE, sandboxes.most_common(3)
    _settle(stage, hello)
    with suppress(StepFailed):
        wait_until(lambda: _inventory(stage) == before, "what was made to be gone", 60)
    after = _inventory(stage)
    assert after == before
    tell(f"before: {before}\nafter:  {after}")


def _invoke_at_once(stage: Stage, slug: str, prompts: list[str]) -> dict[str, Any]:
    with ThreadPoolExecutor(len(prompts)) as pool:
        return dict(zip(prompts, pool.map(lambda prompt: stage.invoke(slug, prompt), prompts), strict=True))


def _settle(stage: Stage, slug: str) -> None:
    """Stop the agent, so that what is counted does not depend on warm sandboxes, then let it serve again."""
    stage.http.delete(f"/agents/{slug}/sandbox").raise_for_status()
    wait_until(lambda: not _own_sandboxes(stage, slug), f"{slug}'s sandboxes to be gone", 60)
    stage.http.post(f"/agents/{slug}/deploy").raise_for_status()
    wait_until(lambda: stage.get(f"/agents/{slug}")["status"] == "active", f"{slug} to serve again", 60)
    wait_until(lambda: len(_own_sandboxes(stage, slug)) == 1, f"{slug}'s warm sandbox", 60)


def _own_sandboxes(stage: Stage, slug: str) -> list[str]:
    agent_id = stage.get(f"/agents/{slug}")["id"]
    return stage.sandboxes(agent_id=agent_id)


def _inventory(stage: Stage) -> dict[str, int]:
    """Count by name what the stack's instance has here once that stands still, and the temporary files."""
    places = Places(Path(os.environ.get("CASTARI_LOCAL", REPOSITORY / ".local")))
    counts = asdict(settled(stage.environment["CASTARI_INSTANCE"]))
    return counts | {
        "sandboxes": len(stage.sandboxes()),
        # But for the folders of the functions' workers, of which the local AWS keeps as many as were needed.
        "temporary_files": sum("ministack-lambda-" not in each.name for each in places.temporary.iterdir()),
    }
