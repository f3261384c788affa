"""What a client wants built: the steps in the SDKs' form, and what they make of a template's runtime."""

import hashlib
import json
import posixpath
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from local.sandboxes.engine import Privileges
from local.sandboxes.server.runtime import Runtime
from local.sandboxes.server.schemas import MAX_TEXT, Body

PRIVILEGES_VARIABLE = "CASTARI_PRIVILEGES"
"""A template that sets it to `none` has no root in its sandboxes, and no way to become anybody else."""

MAX_STEPS = 1000
_ARGUMENTS = {"RUN": (1, 2), "COPY": (2, 4), "ENV": (2, 1000), "WORKDIR": (1, 1), "USER": (1, 1)}

Argument = Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]
Flag = Annotated[bool, BeforeValidator(bool)]


class Step(Body):
    """One step, with the arguments that the SDKs give it."""

    type: Literal["RUN", "COPY", "ENV", "WORKDIR", "USER"]
    args: tuple[Argument, ...] = ()
    files_hash: str | None = Field(default=None, pattern=r"^[0-9a-f]{16,128}$")
    force: Flag = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        fewest, most = _ARGUMENTS[self.type]
        if not fewest <= len(self.args) <= most or (self.type == "ENV" and len(self.args) % 2):
            raise ValueError(f"{self.type} takes {fewest} to {most} arguments, not {len(self.args)}")
        if self.type == "COPY" and not self.files_hash:
            raise ValueError("COPY needs the filesHash of an upload")
        if self.type == "ENV" and not all(name and "=" not in name for name in self.args[::2]):
            raise ValueError("ENV needs names for its variables")
        return self

    def argument(self, index: int) -> str:
        """An argument, or nothing if it was left out."""
        return self.args[index] if index < len(self.args) else ""

    def __str__(self) -> str:
        if self.type == "ENV":
            return "ENV " + " ".join(self.args[::2])  # Values may be secrets.
        return f"{self.type} {' '.join(each for each in self.args if each)}"


class Recipe(Body):
    """All that a build is told."""

    from_image: str | None = None
    from_template: str | None = None
    from_image_registry: dict[str, Any] | None = None
    steps: tuple[Step, ...] = Field((), max_length=MAX_STEPS)
    start_cmd: Annotated[str | None, Field(max_length=MAX_TEXT)] = None
    ready_cmd: Annotated[str | None, Field(max_length=MAX_TEXT)] = None
    force: Flag = False


def after(runtime: Runtime, step: Step) -> Runtime:
    """The runtime once a step is done."""
    if step.type == "ENV":
        names, values = step.args[::2], step.args[1::2]
        return replace(runtime, env={**runtime.env, **dict(zip(names, values, strict=True))})
    if step.type == "WORKDIR":
        return replace(runtime, workdir=place(runtime, step.args[0]))
    if step.type == "USER":
        return replace(runtime, user=step.args[0])
    return runtime


def place(runtime: Runtime, path: str) -> str:
    """A path of a step, absolute; one that ends in a slash keeps it."""
    whole = posixpath.normpath(posixpath.join(runtime.workdir or "/home/user", path))
    return whole + "/" if path.endswith(("/", "/.")) and whole != "/" else whole


def key_after(previous: str, step: Step, runtime: Runtime) -> str:
    """What names the filesystem after a step: all that it can depend on, in a hash."""
    text = json.dumps([previous, step.type, step.args, step.files_hash, runtime.user, runtime.workdir])
    variables = json.dumps(sorted(runtime.env.items()))
    return hashlib.sha256((text + variables).encode()).hexdigest()


def privileges_of(runtime: Runtime, before: Privileges) -> Privileges:
    """Who may become root in sandboxes of the template: as its variable says, else as what it stands on."""
    wish = runtime.env.get(PRIVILEGES_VARIABLE, before)
    return "none" if wish == "none" else "sudo"
