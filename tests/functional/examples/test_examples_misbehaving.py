"""The misbehaving example runs in sandboxes only; here, that it refuses everywhere else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.examples.conftest import Agent

pytestmark = pytest.mark.root


def test_it_refuses_to_run_outside_a_sandbox(
    installed: Callable[[str], Path], agent_of: Callable[[Path, str], Agent]
) -> None:
    agent = agent_of(installed("misbehaving"), "src/index.js")
    # The one prompt that does no harm, should the refusal ever break.
    answer = agent.ask("silent")
    assert answer.returncode == 1
    assert "not in a sandbox" in answer.stderr
