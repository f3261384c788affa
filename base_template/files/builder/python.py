"""Makes a Python agent runnable: a virtual environment beside its code, and compiled sources."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from builder import command
from builder.environment import plain
from builder.failure import StepFailed
from builder.places import Places

ENVIRONMENT = ".venv"
_BUNDLE_SECONDS = 120
_LEAST_PYTHON = re.compile(r">=\s*3\.(\d+)")
_PIP_FLAGS = ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]


def install(places: Places, secret_names: list[str], seconds: float) -> str:
    """Install requirements.txt, else the dependencies of pyproject.toml. Raises `StepFailed`."""
    project = _read_project(places.agent)
    _refuse_newer_python(project)
    source, requirements = "requirements.txt", places.agent / "requirements.txt"
    if not requirements.is_file():
        wanted = project.get("dependencies", [])
        if not wanted:
            return "no requirements.txt and no dependencies in pyproject.toml, nothing to install"
        source, requirements = "pyproject.toml", places.work / "requirements.txt"
        requirements.write_text("\n".join(wanted), "utf-8")
    _make_environment(places)
    _pip(places, ["--requirement", str(requirements)], secret_names, seconds)
    return f"`pip install` of {source}"


def prepare(places: Places, entrypoint: str) -> tuple[list[str], str]:
    """Return the command that runs the agent, and what was done, in words. Raises `StepFailed`."""
    notes = []
    if "build-system" in _read_toml(places.agent):
        _make_environment(places)
        # Not the dependencies: they are installed, and their snapshot is shared by versions.
        _pip(places, ["--no-deps", "--editable", "."], [], _BUNDLE_SECONDS)
        notes.append("the project itself installed")
    _compile(places, entrypoint)
    interpreter = _interpreter(places)
    own = interpreter if interpreter.exists() else "python3"
    # Unbuffered, so that an agent that is ended has said what it said.
    return [str(own), "-u", entrypoint], "; ".join([*notes, "compiled"])


def _make_environment(places: Places) -> None:
    if _interpreter(places).exists():
        return
    # pip stays outside of it, in the template: nobody waits for its installation.
    words = ["python3", "-m", "venv", "--without-pip", ENVIRONMENT]
    command.must_succeed(
        words,
        places.agent,
        plain(places),
        _BUNDLE_SECONDS,
        what="python3 -m venv",
        shown="python3 -m venv",
        remedy=f"take the file `{ENVIRONMENT}` out of the bundle",
    )


def _pip(places: Places, wanted: list[str], secret_names: list[str], seconds: float) -> None:
    words = ["python3", "-m", "pip", "--python", str(_interpreter(places)), "install", *_PIP_FLAGS]
    command.must_succeed(
        [*words, "--cache-dir", str(places.caches / "pip"), *wanted],
        places.agent,
        plain(places, secret_names),
        seconds,
        what="pip install",
        shown="pip install",
        remedy=f"try it in an empty environment of Python 3.{sys.version_info.minor}, and mend what pip names"
        " (there is no compiler here: packages need wheels)",
    )


def _interpreter(places: Places) -> Path:
    return places.agent / ENVIRONMENT / "bin/python"


def _compile(places: Places, entrypoint: str) -> None:
    """Check the entrypoint's syntax, and keep the byte code of everything that it may import."""
    environment = plain(places)
    command.must_succeed(
        ["python3", "-m", "py_compile", entrypoint],
        places.agent,
        environment,
        _BUNDLE_SECONDS,
        what="compiling",
        shown=f"python3 -m py_compile {entrypoint}",
        remedy="mend what it names and deploy again",
    )
    # A file that is no valid Python may be one that nobody imports.
    command.run(
        ["python3", "-m", "compileall", "-q", "-x", rf"/\{ENVIRONMENT}/", "."],
        places.agent,
        environment,
        _BUNDLE_SECONDS,
    )


def _read_toml(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise StepFailed(
            f"pyproject.toml cannot be read: {error}", "mend pyproject.toml and deploy again"
        ) from error


def _read_project(folder: Path) -> dict[str, Any]:
    """Return the table `project`, with dependencies that are a list of text. Raises `StepFailed`."""
    project = _read_toml(folder).get("project", {})
    wanted = project.get("dependencies", []) if isinstance(project, dict) else None
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        raise StepFailed("pyproject.toml: `project.dependencies` must be a list of text", "mend it")
    if "dependencies" in project.get("dynamic", []):
        raise StepFailed(
            "pyproject.toml computes its dependencies", "list them there, or write them into requirements.txt"
        )
    return dict(project)


def _refuse_newer_python(project: dict[str, Any]) -> None:
    least = _LEAST_PYTHON.search(str(project.get("requires-python", "")))
    if least and int(least[1]) > sys.version_info.minor:
        raise StepFailed(
            f"pyproject.toml asks for Python 3.{least[1]}, and sandboxes have 3.{sys.version_info.minor}",
            "write the agent for that version, and lower `requires-python`",
        )
