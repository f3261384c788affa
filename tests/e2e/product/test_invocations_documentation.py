"""The examples of docs/invocations.md do what the page says, run in its order against the whole stack."""

import re
import secrets
import subprocess
from pathlib import Path

import pytest

from local.demo.stage import Stage
from local.places import REPOSITORY
from tests.e2e.product.agents import Agents

pytestmark = [pytest.mark.stack, pytest.mark.root]

PAGE = (REPOSITORY / "docs/invocations.md").read_text()
_EXAMPLE = re.compile(r"```sh\n(?P<commands>.*?)```\n(?:```text\n(?P<shown>.*?)```)?", re.DOTALL)
_MARK = "=== end of example ==="


def examples() -> list[tuple[str, str | None]]:
    """Return each block of commands with what the page shows of its output."""
    return [(found["commands"], found["shown"]) for found in _EXAMPLE.finditer(PAGE)]


def matches(shown: str, output: str) -> bool:
    """Tell whether an output is as shown: `…` is anything, and JSON may be set with or without spaces."""
    tight_shown, tight_output = (re.sub("([:,]) ", r"\1", text.strip()) for text in (shown, output))
    pattern = ".*?".join(re.escape(part) for part in tight_shown.split("…"))
    return re.fullmatch(pattern, tight_output, re.DOTALL) is not None


def test_an_output_that_is_another_is_told_apart() -> None:
    assert matches('{"a": 1, …}\n200\n', '{"a":1,"b": 2}\n200')
    assert not matches('{"a": 1, …}\n200\n', '{"a": 1, "b": 2}\n202\n')


def test_each_example_of_the_page_shows_what_it_says(stage: Stage, agents: Agents, tmp_path: Path) -> None:
    (source,) = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
    slug = agents.deploy_files("counter", {"index.js": source})
    found = examples()
    assert len(found) >= 8
    script = f"\necho '{_MARK}'\n".join(commands for commands, _ in found)
    known = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "AGENT": slug, "BATCH": secrets.token_hex(8)}
    names = ("CASTARI_API_URL", "CASTARI_API_KEY", "CASTARI_LONG_INVOKE_URL")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=known | {name: stage.environment[name] for name in names},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{_MARK}\n")
    for (commands, shown), output in zip(found, printed, strict=True):
        assert shown is None or matches(shown, output), (commands, output)
