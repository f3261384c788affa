"""Which builds may share installed dependencies: those whose installs cannot come out differently."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from castari.manifest import Manifest, Runtime

_NODE_LOCKFILES = frozenset({"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock"})
_NODE_FILES = _NODE_LOCKFILES | {
    "package.json", ".npmrc", "pnpm-workspace.yaml", ".pnpmfile.cjs", ".yarnrc", ".yarnrc.yml",
}  # fmt: skip
_PYTHON_FILES = frozenset({"requirements.txt", "pyproject.toml"})
INSTALL_FILES = _NODE_FILES | _PYTHON_FILES
"""The files at the top of a bundle that an install reads."""

_LIFECYCLE_SCRIPTS = frozenset({"preinstall", "install", "postinstall", "prepare"})
_OTHER_FILES = re.compile(
    rb'"(?:file|link|portal|patch|workspace|git\+file):|"(?:workspaces|patchedDependencies)"'
)
_WORKSPACE = re.compile(rb"^(?:packages|patchedDependencies):", re.MULTILINE)
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?\s*===?\s*[A-Za-z0-9.!+_-]+\s*(;.*)?")
_HASHES = re.compile(r"\s--hash=\S+")
_COMMENT = re.compile(r"(^|\s)#.*")

Files = Mapping[str, bytes]


def dependencies_key(files: Files, manifest: Manifest, base_template: str) -> str | None:
    """Return what decides the outcome of an install, hashed, or None if something else decides too.

    `files` are those of `INSTALL_FILES` that the bundle has.
    """
    relevant, is_locked = _RULES[manifest.runtime]
    if manifest.build_secrets or not is_locked(files):
        return None
    digest = hashlib.sha256(f"{manifest.runtime} {base_template}".encode())
    for name in sorted(relevant & files.keys()):
        digest.update(b"\0" + name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def _is_node_locked(files: Files) -> bool:
    """Tell whether there is a lockfile, and neither scripts nor packages of the bundle's own take part."""
    package = files.get("package.json", b"{}")
    if not _NODE_LOCKFILES & files.keys() or _OTHER_FILES.search(package):
        return False
    if ".pnpmfile.cjs" in files or _WORKSPACE.search(files.get("pnpm-workspace.yaml", b"")):
        return False
    with suppress(ValueError, AttributeError, TypeError, RecursionError):
        return not _LIFECYCLE_SCRIPTS & set(json.loads(package).get("scripts") or {})
    return False


def _is_python_locked(files: Files) -> bool:
    """Tell whether requirements.txt names one version of each package, and nothing else."""
    text = files.get("requirements.txt", b"").decode("utf-8", "replace").replace("\\\n", " ")
    lines = [_HASHES.sub("", _COMMENT.sub("", line)).strip() for line in text.splitlines()]
    wanted = [line for line in lines if line]
    return bool(wanted) and all(_PINNED.fullmatch(line) for line in wanted)


_RULES: dict[Runtime, tuple[frozenset[str], Callable[[Files], bool]]] = {
    "node": (_NODE_FILES, _is_node_locked),
    "python": (_PYTHON_FILES, _is_python_locked),
}
