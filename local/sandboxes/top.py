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

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local import environment
from local.places import REPOSITORY
from local.sandboxes.usage import Row, ServerUnreachable, read_rows

_STACK = REPOSITORY / ".local" / "env"
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
    console = Console()
    try:
        if options.json:
            print(json.dumps([row.to_json() for row in _rows(url, api_key)], indent=1))  # noqa: T201
        elif options.once or not console.is_terminal:
            console.print(make_table(_rows(url, api_key)))
        else:
            _watch(console, url, api_key, options.interval)
    except ServerUnreachable as error:
        return _fail(str(error))
    return 0


def make_table(rows: list[Row]) -> Table:
    """Lay the rows out, and the sums below."""
    table = Table(box=None, pad_edge=False, caption=_summary(rows), caption_justify="left")
    for name in ("SANDBOX", "STATE", "TEMPLATE", "KIND", "OWNER"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("AGE", "LEFT", "MEMORY", "CPU"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        memory = "?" if row.memory_bytes is None else f"{row.memory_bytes / _MIB:.1f} MiB"
        cpu = "?" if row.cpu_percent is None else f"{row.cpu_percent:.1f} %"
        words = (row.sandbox_id, row.state, row.template, row.kind, row.owner)
        table.add_row(*words, _time(row.age_seconds), _time(row.left_seconds), memory, cpu)
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
            live.update(make_table(_rows(url, api_key)), refresh=True)
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
