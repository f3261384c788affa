"""castari.json: what a bundle says about itself."""

import difflib
import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from castari.errors import Unprocessable

FILE_NAME = "castari.json"
Runtime = Literal["node", "python"]
SUFFIXES: dict[Runtime, tuple[str, ...]] = {
    "node": (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"),
    "python": (".py",),
}
VARIABLE = r"^(?!CASTARI_)[A-Za-z_][A-Za-z0-9_]*$"
MOST_RETRIES = 5
_LONGEST_BYTES = 64 * 1024
_SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
_LIKENESS = 0.75
"""How alike two keys are, from 0 to 1, when one is taken for a slip of the other."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or not parts:
        raise ValueError("must be a path inside the bundle, such as `src/index.ts`")
    return str(PurePosixPath(path))


def _variable(name: str) -> str:
    if not re.match(VARIABLE, name):
        raise ValueError("must be the name of one of the agent's secrets")
    return name


class Manifest(BaseModel):
    """What an agent is and how it is started. Keys that are not known are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Annotated[str, Field(min_length=1, max_length=100, description="What people call the agent.")]
    slug: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
            description="What URLs and commands call it; without one, it is made from `name`.",
        ),
    ] = None
    version: Annotated[str | None, Field(pattern=_SEMVER, description="Your own number for it.")] = None
    entrypoint: Annotated[
        str,
        Field(min_length=1, max_length=512, description="The file that is started, as a path in the bundle."),
        AfterValidator(_inside),
    ]
    runtime: Annotated[Runtime, Field(description="The language that it is written in.")] = "node"
    build: Annotated[
        bool,
        Field(
            strict=True, description="Whether to run the `build` script of package.json after the install."
        ),
    ] = False
    build_secrets: Annotated[
        list[Annotated[str, AfterValidator(_variable)]],
        Field(max_length=20, description="Secrets that the install needs; nothing else gets them."),
    ] = []
    retries: Annotated[
        int,
        Field(
            strict=True,
            ge=0,
            le=MOST_RETRIES,
            description="How often an invocation whose sandbox was lost may run again from its start.",
        ),
    ] = 0

    @model_validator(mode="after")
    def _fits_its_runtime(self) -> Self:
        suffixes = SUFFIXES[self.runtime]
        if not self.entrypoint.endswith(suffixes):
            raise _wrong(
                "entrypoint", f"must be a file of the runtime {self.runtime} ({', '.join(suffixes)})"
            )
        if self.build and self.runtime != "node":
            raise _wrong("build", "is for the runtime node: it runs a script of package.json")
        return self


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
        raise _refusal(error, found) from error


def likely_typos(manifest: Manifest) -> list[str]:
    """Return a sentence for each unknown key that looks like one we know."""
    unknown = manifest.model_extra or {}
    free = Manifest.model_fields.keys() - manifest.model_fields_set
    return [
        f"{FILE_NAME}: `{key}` is not known: did you mean `{meant}`?"
        for key in unknown
        if (meant := _closest(key, sorted(free)))
    ]


def _closest(word: str, among: list[str]) -> str | None:
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", word).lower()
    return next(iter(difflib.get_close_matches(plain, among, 1, _LIKENESS)), None)


def _refusal(error: ValidationError, found: dict[str, Any]) -> Unprocessable:
    first = error.errors()[0]
    # What a check of the whole document says names its field itself.
    path = first["loc"] or (first["ctx"]["field"],)
    field = ".".join(str(part) for part in path)
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        slips = [key for key in found if key not in Manifest.model_fields and _closest(key, [field])]
        said += f" (`{slips[0]}` looks like it)" if slips else ""
    return Unprocessable(f"{FILE_NAME}: `{field}`: {said}", field=(FILE_NAME, *path), kind=first["type"])


def _wrong(field: str, said: str) -> PydanticCustomError:
    return PydanticCustomError("value_error", "{said}", {"field": field, "said": said})


def _unreadable(what: str) -> Unprocessable:
    return Unprocessable(f"{FILE_NAME} {what}: mend it and deploy again", field=(FILE_NAME,))
