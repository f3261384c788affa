"""Reads base_template/definition.toml: the one definition of what every sandbox contains."""

import platform
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CACHE = Path("/var/cache/castari/rootfs")
"""Where root filesystems are kept, for all servers on a host: building one takes half a minute."""

DEFINITION = Path(__file__).parents[2] / "base_template" / "definition.toml"

_NPM_PLATFORMS = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


@dataclass(frozen=True)
class Copy:
    """A file or folder on the host, and where it goes."""

    source: Path
    target: str


@dataclass(frozen=True)
class User:
    """Whom agents run as."""

    name: str
    uid: int
    home: str


@dataclass(frozen=True)
class Definition:
    """The definition for one machine architecture: `{platform}` is filled in."""

    name: str
    cpu_count: int
    memory_mb: int
    disk_mb: int
    debian_suite: str
    apt: tuple[str, ...]
    directories: tuple[str, ...]
    user: User
    env: dict[str, str]
    npm_packages: dict[str, str]
    npm_commands: dict[str, str]
    copies: tuple[Copy, ...]


def load_definition(path: Path = DEFINITION, *, machine: str | None = None) -> Definition:
    """Read a definition for `machine` (as `uname -m` names it), by default this one."""
    data = tomllib.loads(path.read_text())
    npm = _fill_in(data.pop("npm"), _NPM_PLATFORMS[machine or platform.machine()])
    copies = tuple(Copy(path.parent / c["source"], c["target"]) for c in data.pop("copy", []))
    return Definition(
        **data
        | {
            "apt": tuple(data["apt"]),
            "directories": tuple(data["directories"]),
            "user": User(**data["user"]),
            "npm_packages": npm["packages"],
            "npm_commands": npm["commands"],
            "copies": copies,
        }
    )


def _fill_in(npm: dict[str, Any], npm_platform: str) -> dict[str, dict[str, str]]:
    return {
        table: {k.format(platform=npm_platform): v.format(platform=npm_platform) for k, v in values.items()}
        for table, values in npm.items()
    }
