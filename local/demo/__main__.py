"""Runs the demo: brings the stack up, goes through the steps, prints each with its time."""

import os
import subprocess
import sys
import time

from local import environment
from local.demo.stage import Stage, StepFailed
from local.demo.steps import STEPS
from local.places import REPOSITORY, Places


def main() -> int:
    """Return 0 when every step showed what it should; time never decides."""
    began = float(os.environ.get("CASTARI_DEMO_STARTED") or time.time())
    _line("set up", time.time() - began, "dependencies installed")
    mark = time.monotonic()
    if subprocess.run([sys.executable, "-m", "local.stack", "up"], check=False).returncode != 0:
        return _fail("stack up", "the stack did not come up; the lines above say why")
    _line("stack up", time.monotonic() - mark, "ministack, sandbox server, relay, this template")
    stage = Stage(environment.read(Places(REPOSITORY / ".local").environment))
    for name, step in STEPS:
        mark = time.monotonic()
        try:
            shown = step(stage)
        except StepFailed as failure:
            return _fail(name, str(failure))
        _line(name, time.monotonic() - mark, shown)
    _line("all of it", time.time() - began, "The stack stays up: `make down` ends it.")
    return 0


def _line(name: str, seconds: float, shown: str) -> None:
    sys.stdout.write(f"✓ {name:21}{seconds:7.1f} s  {shown}\n")
    sys.stdout.flush()


def _fail(name: str, why: str) -> int:
    sys.stdout.write(f"✗ {name:21} {why}\n  Logs are in .local/logs; `make down` ends the stack.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
