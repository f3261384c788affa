"""Installs what package.json asks for, with npm and the lockfile where there is one."""

import json
import os
from pathlib import Path
from typing import Any

from builder import command
from builder.failure import StepFailed
from builder.places import Places

_LOCKFILES = ("package-lock.json", "npm-shrinkwrap.json")
_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "workspaces")
_SCRIPTS = frozenset({"preinstall", "install", "postinstall", "prepare"})
_FLAGS = ("--no-audit", "--no-fund", "--no-progress")


def read_package(folder: Path) -> dict[str, Any] | None:
    """Return package.json, or None where there is none. Raises `StepFailed`."""
    try:
        package = json.loads((folder / "package.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StepFailed(
            f"package.json cannot be read: {error}", "mend package.json and deploy again"
        ) from error
    if not isinstance(package, dict):
        raise StepFailed("package.json is no JSON object", "mend package.json and deploy again")
    return package


def install(places: Places, secret_names: list[str], seconds: float) -> str:
    """Install and return what was done, in words. Only this step sees build secrets. Raises `StepFailed`."""
    package = read_package(places.agent)
    if package is None:
        return "no package.json, nothing to install"
    if not (any(package.get(kind) for kind in _DEPENDENCIES) or _SCRIPTS & set(package.get("scripts") or {})):
        return "no dependencies, nothing to install"
    locked = any((places.agent / name).is_file() for name in _LOCKFILES)
    words = ["npm", "ci" if locked else "install", *_FLAGS]
    ended = command.run(words, places.agent, _environment(places, secret_names), seconds)
    shown = " ".join(words[:2])
    if ended.exit_code is None:
        raise StepFailed(
            f"npm install failed: `{shown}` did not end within {seconds:.0f} s",
            "use fewer or smaller dependencies, or look for an install script that waits",
            ended.tail,
        )
    if ended.exit_code:
        raise StepFailed(
            f"npm install failed: `{shown}` ended with exit code {ended.exit_code}",
            f"run `{shown}` in the agent's folder, mend what it names, and deploy again",
            ended.tail,
        )
    return f"`{shown}`"


def _environment(places: Places, secret_names: list[str]) -> dict[str, str]:
    """Return what the install may see: our own basics and the build secrets that castari.json names."""
    kept = {"PATH", "LANG", "USER", "LOGNAME", "NODE_OPTIONS", "SSL_CERT_FILE", "SSL_CERT_DIR", *secret_names}
    return {name: value for name, value in os.environ.items() if name in kept} | {
        "HOME": str(places.home),
        "CI": "1",
        "npm_config_cache": str(places.npm_cache),
        "npm_config_update_notifier": "false",
    }
