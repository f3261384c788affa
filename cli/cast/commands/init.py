"""`cast init`: a folder with an agent that answers."""

import json
import shutil
import subprocess
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from cast import console
from cast.errors import CastError, UsageMistake
from cast.slugs import slug_of

_TEMPLATES = files("cast") / "templates"
# A `.gitignore` in the package would act on the package's own repository.
_RENAMED = {"gitignore": ".gitignore"}
_INSTALL = ("npm", "install", "--no-audit", "--no-fund")


def init(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The agent's name; its folder is named alike.", show_default=False
        ),
    ],
    template: Annotated[str, typer.Option("--template", "-t", help="What to begin with.")] = "default",
    install: Annotated[bool, typer.Option(help="Run `npm install` in the folder.")] = True,
) -> None:
    """Make a folder with a new agent."""
    slug, source = slug_of(name), _template(template)
    if not slug:
        raise UsageMistake(f"{name!r} has no letter or digit", "name it like `My Agent`")
    folder = Path(slug)
    if folder.exists():
        raise CastError(f"{folder} exists", "choose another name, or remove it")
    _write(source, folder, {"AGENT_NAME": name, "AGENT_SLUG": slug})
    console.note(f"made {folder}/ from the template `{template}`")
    if install:
        _install(folder)
    console.note(f"next: cd {slug} && cast deploy && cast invoke {slug} 'Hello'")


def _template(name: str) -> Traversable:
    known = sorted(entry.name for entry in _TEMPLATES.iterdir() if entry.is_dir())
    if name not in known:
        raise UsageMistake(f"there is no template `{name}`", f"choose one of: {', '.join(known)}")
    return _TEMPLATES / name


def _write(source: Traversable, target: Path, words: dict[str, str]) -> None:
    """Copy a template, with each word in its files replaced."""
    target.mkdir()
    for entry in source.iterdir():
        destination = target / _RENAMED.get(entry.name, entry.name)
        if entry.is_dir():
            _write(entry, destination, words)
            continue
        destination.write_text(_filled(entry, words), encoding="utf-8")


def _filled(file: Traversable, words: dict[str, str]) -> str:
    text = file.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, json.dumps(value)[1:-1] if file.name.endswith(".json") else value)
    return text


def _install(folder: Path) -> None:
    if shutil.which("npm") is None:
        console.warn("npm is not here, so there is no package-lock.json: each deploy resolves versions anew")
        return
    with console.step("npm install"):
        done = subprocess.run(_INSTALL, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        console.warn(f"npm install failed, run it again in {folder}/:\n{done.stderr.strip()}")
