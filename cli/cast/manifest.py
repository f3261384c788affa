"""Reads `castari.json`, and says which field is wrong before anything is uploaded."""

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cast.errors import CastError
from cast.slugs import SLUG, slug_of

FILE_NAME = "castari.json"
_RUNTIMES = ("node", "python")
# https://semver.org, its suggested expression without the groups.
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)


@dataclass(frozen=True)
class Manifest:
    """What `cast` needs of a castari.json; `entrypoint` is relative to the folder, with forward slashes."""

    name: str
    slug: str
    entrypoint: str
    is_built: bool = False
    """Whether the deploy runs a build script: then the entrypoint may be what that writes."""


def read_manifest(folder: Path) -> Manifest:
    """Return the checked manifest of an agent's folder. Raises `CastError` naming the field."""
    content = _load(folder / FILE_NAME)
    name = _text(content, "name")
    _check_version(content)
    _check_runtime(content)
    is_built = content.get("build") is True
    entrypoint = _entrypoint(content)
    if not is_built:
        _check_file(entrypoint, folder)
    return Manifest(name, _slug(content, name), entrypoint, is_built)


def _load(path: Path) -> dict[str, Any]:
    try:
        # Some editors on Windows begin a file with a byte order mark.
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise CastError(
            f"castari.json not found in {path.parent.resolve()}",
            "go into an agent's folder, or make one with `cast init NAME`",
        ) from error
    except UnicodeDecodeError as error:
        raise CastError("castari.json is not UTF-8 text", "save it as UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise CastError(f"castari.json is not JSON: {error.msg} at {place}", "mend that line") from error
    if not isinstance(content, dict):
        raise CastError("castari.json does not hold an object", 'it looks like {"name": …, "entrypoint": …}')
    return content


def _wrong(field: str, what: str, remedy: str) -> CastError:
    return CastError(f"castari.json: `{field}` {what}", remedy)


def _text(content: dict[str, Any], field: str) -> str:
    value = content.get(field)
    if value is None:
        raise _wrong(field, "is missing", f'add "{field}": "…"')
    if not isinstance(value, str) or not value.strip():
        raise _wrong(field, "must be a text that is not empty", f'write "{field}": "…"')
    return value


def _check_version(content: dict[str, Any]) -> None:
    version = content.get("version", "0.0.0")
    if not isinstance(version, str) or not _SEMVER.fullmatch(version):
        raise _wrong("version", f"is {version!r}, which is no semantic version", 'write it like "1.2.3"')


def _check_runtime(content: dict[str, Any]) -> None:
    runtime = content.get("runtime", "node")
    if runtime not in _RUNTIMES:
        raise _wrong(
            "runtime", f"is {runtime!r}, which is not offered", f"choose one of {', '.join(_RUNTIMES)}"
        )


def _slug(content: dict[str, Any], name: str) -> str:
    slug = _text(content, "slug") if "slug" in content else slug_of(name)
    if not SLUG.fullmatch(slug):
        raise _wrong(
            "slug", f"is {slug!r}", "use at most 63 lowercase letters, digits and hyphens, none at the ends"
        )
    return slug


def _entrypoint(content: dict[str, Any]) -> str:
    entrypoint = _text(content, "entrypoint")
    path = PurePosixPath(entrypoint)
    if path.is_absolute() or ".." in path.parts or "\\" in entrypoint:
        raise _wrong(
            "entrypoint",
            f"is {entrypoint!r}, which leaves the folder",
            'name a file inside, like "src/index.ts"',
        )
    return path.as_posix()


def _check_file(entrypoint: str, folder: Path) -> None:
    file = folder / entrypoint
    if not file.is_file():
        raise _wrong(
            "entrypoint", f"names {entrypoint!r}, and there is no such file", "create it, or name another"
        )
    if not file.resolve().is_relative_to(folder.resolve()):
        raise _wrong(
            "entrypoint", f"{entrypoint!r} is a link that leaves the folder", "put the file itself there"
        )
