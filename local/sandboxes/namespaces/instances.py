"""What the instances on one host share: the address range, and whether the host forwards packets."""

import fcntl
import ipaddress
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.sandboxes.engine import EngineError
from local.sandboxes.namespaces.settings import RUN

_SHARED = RUN / "castari"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_SLICE_PREFIX = 20  # 4,094 addresses for each instance.


@dataclass
class _Book:
    """All instances by name with their slice, and what the forwarding switch was before the first."""

    slices: dict[str, str] = field(default_factory=dict)
    forwarding_before: str = "0"


def join(instance: str, address_range: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    """Give an instance a slice of addresses and make the host forward. An instance keeps its slice."""
    with _book() as book:
        if not book.slices:
            book.forwarding_before = _FORWARDING.read_text().strip()
        others = [each for name, each in book.slices.items() if name != instance]
        taken = [*map(ipaddress.IPv4Network, others), *_routes()]
        own = book.slices.get(instance)
        candidates = [ipaddress.IPv4Network(own)] if own else []
        candidates += address_range.subnets(new_prefix=_SLICE_PREFIX)
        free = next((each for each in candidates if not any(map(each.overlaps, taken))), None)
        if free is None:
            raise EngineError(f"no free /{_SLICE_PREFIX} in {address_range}: choose another address range")
        book.slices[instance] = str(free)
        _FORWARDING.write_text("1")
    return free


def slice_of(instance: str) -> ipaddress.IPv4Network | None:
    """Return the slice that an instance has, also one that ended without leaving."""
    with _book() as book:
        own = book.slices.get(instance)
    return ipaddress.IPv4Network(own) if own else None


def leave(instance: str) -> None:
    """Give the slice back; the last instance to leave puts the forwarding switch back. Safe to call again."""
    with _book() as book:
        if book.slices.pop(instance, None) and not book.slices:
            _FORWARDING.write_text(book.forwarding_before)


@contextmanager
def _book() -> Iterator[_Book]:
    _SHARED.mkdir(mode=0o700, exist_ok=True)
    with (_SHARED / "instances.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        book = _Book(**json.loads(text)) if text else _Book()
        yield book
        file.seek(0)
        file.truncate()
        file.write(json.dumps(asdict(book)) if book.slices else "")


def _routes() -> list[ipaddress.IPv4Network]:
    command = ["ip", "-json", "-4", "route", "show", "table", "all"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    destinations = (route["dst"] for route in listed if route["dst"] != "default")
    return [ipaddress.IPv4Network(destination) for destination in destinations]
