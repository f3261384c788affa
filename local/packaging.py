"""Builds the template's functions and layers with their own makefiles, into zips named by their content.

AWS mounts a layer; the local AWS unpacks it again for every worker process, which takes most of a second. So
the zip of a layer that it gets holds one line, which puts the built tree on the worker's path.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local import ministack
from local.places import REPOSITORY, Places

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_LAYER = "AWS::Serverless::LayerVersion"
_DEPENDENCIES = Path("layers/dependencies")
_HASH_LENGTH = 16


def build(template: Mapping[str, Any], places: Places) -> dict[str, Path]:
    """Return the zip of each resource that is built, by logical id."""
    archives = {}
    for logical_id, resource in template["Resources"].items():
        if resource.get("Metadata", {}).get("BuildMethod") == "makefile":
            is_layer = resource["Type"] == _LAYER
            tree = _build_tree(logical_id, _source(template, resource), places)
            archives[logical_id] = _pointer(logical_id, tree, places) if is_layer else _archive(tree, places)
    _forget_others(archives, places)
    return archives


def _source(template: Mapping[str, Any], resource: Mapping[str, Any]) -> Path:
    properties = {**template["Globals"]["Function"], **resource["Properties"]}
    return Path(properties["ContentUri" if resource["Type"] == _LAYER else "CodeUri"])


def _build_tree(logical_id: str, source: Path, places: Places) -> Path:
    """Return what the makefile made; packages that are there already are not fetched again."""
    if source == _DEPENDENCIES:
        target = places.builds / f"{logical_id}-{content_hash(REPOSITORY / source, sys.version)}"
        if not target.exists():
            _make(logical_id, source, target, places)
        return target
    fresh = places.builds / f"{logical_id}.new"
    _make(logical_id, source, fresh, places)
    target = places.builds / f"{logical_id}-{content_hash(fresh, sys.version)}"
    shutil.rmtree(target, ignore_errors=True)
    return fresh.rename(target)


def _make(logical_id: str, source: Path, target: Path, places: Places) -> None:
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    variables = {
        "ARTIFACTS_DIR": partial,
        "PYTHON": ministack.interpreter(places),
        "PYTHON_VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
        "PLATFORM": f"{platform.machine()}-manylinux_2_34",
        "UV": Path(sys.executable).with_name("uv"),
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    subprocess.run(["make", "--silent", "-C", REPOSITORY / source, f"build-{logical_id}", *words], check=True)
    partial.rename(target)


def _files(tree: Path) -> Iterator[Path]:
    yield from sorted(path for path in tree.rglob("*") if path.is_file())


def content_hash(tree: Path, *more: str) -> str:
    """Return a hash of the names and contents of all files in `tree`, and of `more`."""
    digest = hashlib.sha256("\0".join(more).encode())
    for path in _files(tree):
        if "__pycache__" not in path.parts:
            digest.update(f"\0{path.relative_to(tree)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:_HASH_LENGTH]


def _archive(tree: Path, places: Places) -> Path:
    target = places.builds / f"{tree.name}.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for path in _files(tree):
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(tree)), _EPOCH), path.read_bytes())
    return target


def _pointer(logical_id: str, tree: Path, places: Places) -> Path:
    target = places.builds / f"{tree.name}.zip"
    line = f"import sys; sys.path.insert(0, {os.fspath(tree / 'python')!r})\n"
    with zipfile.ZipFile(target, "w") as archive:
        name = f"python/lib/python3/site-packages/{logical_id}.pth"
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), line)
    return target


def _forget_others(archives: Mapping[str, Path], places: Places) -> None:
    """Delete what earlier versions left, but not packages: they take longest to make."""
    kept = {path.stem for path in archives.values()}
    for path in places.builds.iterdir():
        if path.stem not in kept and not path.name.startswith("DependenciesLayer-"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
