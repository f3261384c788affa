"""Packages with native or WebAssembly files: they find those beside their own code, so they stay there."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

_FILES = (".node", ".wasm", "binding.gyp")

Places = dict[str, set[str]]
"""The real folders of each package by its name; a package can be there in several versions."""


def packages(modules: Path) -> Places:
    """Return the installed packages that hold such files."""
    found: Places = {}
    for folder, _, names in os.walk(modules):
        if any(name.endswith(_FILES) for name in names):
            before, _, inside = f"{folder}/".rpartition("/node_modules/")
            if name := _package(inside):
                found.setdefault(name, set()).add(os.path.realpath(f"{before}/node_modules/{name}"))
    return dict(sorted(found.items()))


def imported(report: Path, names: Iterable[str]) -> list[str]:
    """Return which of the packages the bundle imports, from esbuild's report of what it wrote."""
    outputs = json.loads(report.read_text("utf-8"))["outputs"].values()
    paths = [each["path"] for output in outputs for each in output["imports"] if each.get("external")]
    return sorted({_package(path) for path in paths} & set(names))


def are_found_from(folder: Path, known: Places, names: Iterable[str]) -> bool:
    """Tell whether code in `folder` gets these packages, and could not be meant to get another version."""
    return all(known[name] == {os.path.realpath(folder / "node_modules" / name)} for name in names)


def _package(path: str) -> str:
    """Return the name of the package that a path inside node_modules, or an import, begins with."""
    parts = path.strip("/").split("/")
    return "/".join(parts[: 2 if parts[0].startswith("@") else 1])
