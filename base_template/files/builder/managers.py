"""The package managers of Node.js: which one a project uses, and how it installs."""

from pathlib import Path
from typing import Any

_LOCKFILES = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
}
_BERRY_MARK = "__metadata:"
"""Yarn 2 and later write it into their lockfile, Yarn 1 does not."""
_BERRY_FORMAT = f"{_BERRY_MARK}\n  version: 10\n"
"""The format that the template's version writes."""


class Manager:
    """How to call one manager in one project."""

    def __init__(self, name: str, command: str, install: list[str], environment: dict[str, str]) -> None:
        self.name, self.command, self.install, self.environment = name, command, install, environment
        self.shown = f"{name} {install[0]}"
        """What a person would type."""


def choose(folder: Path, package: dict[str, Any], caches: Path) -> Manager:
    """Return the manager of the lockfile; `packageManager` decides where there are several, or none."""
    named, _, version = str(package.get("packageManager") or "").partition("@")
    found = [name for lockfile, name in _LOCKFILES.items() if (folder / lockfile).is_file()]
    known = found or list(_LOCKFILES.values())
    name = named if named in known else known[0]
    if name == "pnpm":
        return _pnpm(caches, is_locked=bool(found))
    if name == "yarn":
        lock = (folder / "yarn.lock").read_text("utf-8", "replace") if found else ""
        is_berry = _BERRY_MARK in lock if found else version[:1] not in {"", "1"}
        return _yarn_berry(caches, lock) if is_berry else _yarn(caches, is_locked=bool(found))
    return _npm(caches, is_locked=bool(found))


def _npm(caches: Path, *, is_locked: bool) -> Manager:
    flags = ["--no-audit", "--no-fund", "--no-progress"]
    environment = {"npm_config_cache": str(caches / "npm"), "npm_config_update_notifier": "false"}
    return Manager("npm", "npm", ["ci" if is_locked else "install", *flags], environment)


def _pnpm(caches: Path, *, is_locked: bool) -> Manager:
    settings = [
        # The sandbox is what protects from install scripts, so they run as they do with npm.
        "--config.dangerously-allow-all-builds=true",
        # The template's pnpm is used, whichever version the project names.
        "--config.manage-package-manager-versions=false",
        "--config.package-manager-strict=false",
        f"--config.store-dir={caches / 'pnpm'}",
    ]
    frozen = "--frozen-lockfile" if is_locked else "--no-frozen-lockfile"
    environment = {"XDG_CACHE_HOME": str(caches), "XDG_STATE_HOME": str(caches)}
    return Manager("pnpm", "pnpm", ["install", frozen, "--reporter=append-only", *settings], environment)


def _yarn(caches: Path, *, is_locked: bool) -> Manager:
    frozen = ["--frozen-lockfile"] if is_locked else []
    environment = {"YARN_CACHE_FOLDER": str(caches / "yarn"), "SKIP_YARN_COREPACK_CHECK": "1"}
    return Manager("yarn", "yarn", ["install", *frozen, "--non-interactive", "--no-progress"], environment)


def _yarn_berry(caches: Path, lock: str) -> Manager:
    # A lockfile of another format is rewritten by the install, which `--immutable` would forbid.
    immutable = "--immutable" if _BERRY_FORMAT in lock else "--no-immutable"
    environment = {
        "YARN_GLOBAL_FOLDER": str(caches / "yarn"),
        "YARN_ENABLE_TELEMETRY": "0",
        "YARN_ENABLE_PROGRESS_BARS": "0",
        # esbuild and Node.js look for packages in node_modules.
        "YARN_NODE_LINKER": "node-modules",
    }
    return Manager("yarn", "yarn-berry", ["install", immutable], environment)
