"""Reads package.json."""

import json
from pathlib import Path
from typing import Any

from builder.failure import StepFailed

_REMEDY = "mend package.json and deploy again"


def read_package(folder: Path) -> dict[str, Any] | None:
    """Return package.json, or None where there is none. Raises `StepFailed`."""
    try:
        package = json.loads((folder / "package.json").read_text("utf-8-sig"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise StepFailed(f"package.json cannot be read: {error}", _REMEDY) from error
    if not isinstance(package, dict):
        raise StepFailed("package.json is no JSON object", _REMEDY)
    return package


def scripts_of(package: dict[str, Any]) -> dict[str, Any]:
    """Return its scripts by name."""
    scripts = package.get("scripts")
    return scripts if isinstance(scripts, dict) else {}
