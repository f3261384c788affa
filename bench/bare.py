"""The floor: node and a shell run by the host itself, with no sandbox around them."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import IO, cast

CLEAN_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def node_exits(node: Path) -> None:
    """Run `node -e 0` from spawn to exit."""
    subprocess.run([node, "-e", "0"], env=CLEAN_ENVIRONMENT, check=True, stdin=subprocess.DEVNULL)


def shell_first_byte_milliseconds() -> float:
    """Return how long the host's own shell takes to write a byte; no profile is read, in a sandbox one is.

    Raises `RuntimeError` if it writes none.
    """
    begin = perf_counter()
    command = ["/bin/bash", "-c", "echo x"]
    with subprocess.Popen(
        command, env=CLEAN_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as shell:
        first = os.read(cast("IO[bytes]", shell.stdout).fileno(), 1)
        took = perf_counter() - begin
    if not first:
        raise RuntimeError("the host's /bin/bash wrote nothing")
    return took * 1000


def answers(node: Path, bundle: Path, prompt: str) -> str:
    """Run a bundle with the prompt on stdin and return its stdout."""
    command = [node, bundle]
    return subprocess.run(
        command, env=CLEAN_ENVIRONMENT, input=prompt, capture_output=True, text=True, check=True
    ).stdout


def node_rate(node: Path, runs: int, at_once: int) -> float:
    """Return how many `node -e 0` end each second when `at_once` run side by side."""
    begin = perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: node_exits(node), range(runs)))
    return runs / (perf_counter() - begin)
