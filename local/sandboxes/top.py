"""Shows the sandboxes in a terminal, as `top` shows processes: `python -m local.sandboxes.top --help`."""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local import environment
from local.places import REPOSITORY
from local.sandboxes.usage import Row, ServerUnreachable, read_rows

_STACK = REPOSITORY / ".local" / "env"
_WIDE = 240
_MINIMUM_WIDTHS = {"SANDBOX": 20, "STATE": 7, "AGE": 6, "LEFT": 6, "MEMORY": 10, "CPU": 7, "KIND": 5}
"""What a narrow terminal cuts is the rest: whose a sandbox is, and what it was made from."""

_NUMBERS = {"AGE", "LEFT", "MEMORY", "CPU"}
_MIB = 1024 * 1024
_MINUTE, _HOUR = 60, 3600


def main() -> int:
    """Show them until Ctrl-C; once where nobody watches."""
    options = _parse(sys.argv[1:])
    known = _stack() | os.environ
    url, api_key = options.url or known.get("E2B_API_URL"), known.get("E2B_API_KEY")
    if options.api_key_file:
        api_key = options.api_key_file.read_text().strip()
    if not url or not api_key:
        return _fail("no sandbox server is known: run `make up` first, or set E2B_API_URL and E2B_API_KEY")
    # In a pipe there is no edge at which to cut.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    try:
        if options.json:
            print(json.dumps([row.to_json() for row in _rows(url, api_key)], indent=1))  # noqa: T201
        elif options.once or not console.is_terminal:
            console.print(make_table(_rows(url, api_key), fill=console.is_terminal))
        else:
            _watch(console, url, api_key, options.interval)
    except ServerUnreachable as error:
        return _fail(str(error))
    return 0


def make_table(rows: list[Row], *, fill: bool = False) -> Table:
    """Lay the rows out, and the sums below; with `fill`, just as wide as the terminal."""
    table = Table(box=None, expand=fill, pad_edge=False, caption=_summary(rows), caption_justify="left")
    for name in (*_MINIMUM_WIDTHS, "OWNER", "TEMPLATE"):
        justify: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        width = _MINIMUM_WIDTHS.get(name)
        ratio = None if width else 1
        table.add_column(
            name, justify=justify, no_wrap=True, overflow="ellipsis", min_width=width, ratio=ratio
        )
    for row in rows:
        memory = "?" if row.memory_bytes is None else f"{row.memory_bytes / _MIB:.1f} MiB"
        cpu = "?" if row.cpu_percent is None else f"{row.cpu_percent:.1f} %"
        times = (_time(row.age_seconds), _time(row.left_seconds))
        table.add_row(
            row.sandbox_id, row.state, *times, memory, cpu, row.kind, row.owner or "-", row.template
        )
    return table


def _summary(rows: list[Row]) -> str:
    running = sum(row.state == "running" for row in rows)
    memory = sum(row.memory_bytes or 0 for row in rows) / _MIB
    return f"{running} running, {len(rows) - running} paused, {memory:.1f} MiB"


def _time(seconds: int) -> str:
    if seconds < _MINUTE:
        return f"{seconds}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE}m{seconds % _MINUTE:02}s"
    return f"{seconds // _HOUR}h{seconds % _HOUR // _MINUTE:02}m"


def _watch(console: Console, url: str, api_key: str, seconds: float) -> None:
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, screen=True) as live:
        while True:
            live.update(make_table(_rows(url, api_key), fill=True), refresh=True)
            time.sleep(seconds)


def _rows(url: str, api_key: str) -> list[Row]:
    return asyncio.run(read_rows(url, api_key))


def _stack() -> Mapping[str, str]:
    return environment.read(_STACK) if _STACK.exists() else {}


def _fail(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201 - for a person
    return 1


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.sandboxes.top", description=__doc__)
    add = parser.add_argument
    add("--url", help="the sandbox server (E2B_API_URL, or the stack that is up)")
    add("--api-key-file", type=Path, help="file with its key (E2B_API_KEY, or the stack's)")
    add("--once", action="store_true", help="show them once")
    add("--json", action="store_true", help="print them once, as JSON")
    add("--interval", type=float, default=2.0, help="seconds between looks (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
