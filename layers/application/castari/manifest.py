"""castari.json: what a bundle says about itself."""

import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from castari.errors import Unprocessable

FILE_NAME = "castari.json"
_LONGEST_BYTES = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SUFFIXES = frozenset({".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"})
_SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or not parts:
        raise ValueError("must be a path inside the bundle, such as `src/index.ts`")
    if PurePosixPath(path).suffix not in _SUFFIXES:
        raise ValueError(f"must be a TypeScript or JavaScript file ({', '.join(sorted(_SUFFIXES))})")
    return str(PurePosixPath(path))


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name) or name.startswith("CASTARI_"):
        raise ValueError("must be the name of one of the agent's secrets")
    return name


class Manifest(BaseModel):
    """The keys that the platform knows; others are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    slug: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")] | None = None
    version: Annotated[str, Field(pattern=_SEMVER)] | None = None
    entrypoint: Annotated[str, Field(max_length=512), AfterValidator(_inside)]
    runtime: Literal["node"] = "node"
    build_secrets: Annotated[list[Annotated[str, AfterValidator(_variable)]], Field(max_length=20)] = []
    """Secrets that the install needs; they reach the install only."""


def parse(content: bytes) -> Manifest:
    """Read castari.json. Raises `Unprocessable` naming the field and what to do."""
    if len(content) > _LONGEST_BYTES:
        raise _unreadable(f"is longer than {_LONGEST_BYTES} bytes")
    try:
        found: Any = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"is no valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise _unreadable("must be a JSON object")
    try:
        return Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise Unprocessable(
            f"{FILE_NAME}: `{field}`: {said}", field=(FILE_NAME, *first["loc"]), kind=first["type"]
        ) from error


def _unreadable(what: str) -> Unprocessable:
    return Unprocessable(f"{FILE_NAME} {what}: mend it and deploy again", field=(FILE_NAME,))
