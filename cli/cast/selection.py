"""Decides which files of an agent's folder go into its bundle."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from cast.errors import CastError
from cast.ignore import Pattern, read_patterns

_DEEPEST = 64
IGNORE_FILES = (".gitignore", ".castariignore")
_NEVER_QUIETLY = ("node_modules", ".venv", "__pycache__", ".git", ".DS_Store", ".castari")
# Secrets belong into `cast secrets set`: a bundle is kept, and whoever may read it reads all of it.
_NEVER_SECRETS = (
    ".env", ".env.*", ".npmrc", ".yarnrc.yml", ".netrc", ".pypirc", ".git-credentials", ".aws", ".ssh",
    ".gnupg", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "id_rsa", "id_dsa", "id_ecdsa",
    "id_ed25519",
)  # fmt: skip
_HARMLESS = (".env.example", ".env.sample", ".env.template")


@dataclass
class Selection:
    """Files to pack, sorted, as paths relative to the folder; and what was left out that may be missed."""

    files: list[PurePosixPath] = field(default_factory=list)
    secrets: list[PurePosixPath] = field(default_factory=list)
    links: list[PurePosixPath] = field(default_factory=list)


def select_files(folder: Path) -> Selection:
    """Return the selection. Ignore files count in every folder; .castariignore overrides .gitignore."""
    selection = Selection()
    _walk(folder, PurePosixPath(), [], selection)
    selection.files.sort(key=lambda path: os.fsencode(path.as_posix()))
    return selection


@dataclass(frozen=True)
class _Rules:
    """The patterns of one folder, which speak of paths below it. The last one that matches decides."""

    base: PurePosixPath
    patterns: Sequence[Pattern]

    def verdict(self, path: PurePosixPath, *, is_folder: bool) -> bool | None:
        """Return True to leave out, False to keep, None to leave it to the folder above."""
        relative = path.relative_to(self.base)
        matching = (
            one.ignores for one in reversed(self.patterns) if one.matches(relative, is_folder=is_folder)
        )
        return next(matching, None)


def _walk(root: Path, relative: PurePosixPath, outer: list[_Rules], selection: Selection) -> None:
    if len(relative.parts) > _DEEPEST:
        raise CastError(f"{root / relative} is nested too deep", "name it in .castariignore")
    rules = [*outer, *_rules_in(root, relative)]
    for entry in _entries(root / relative):
        path = relative / entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        if _matches(entry.name, _NEVER_QUIETLY) or _is_ignored(path, rules, is_folder=is_folder):
            continue
        if _is_secret(entry.name):
            selection.secrets.append(path)
        elif is_folder:
            _walk(root, path, rules, selection)
        elif entry.is_file(follow_symlinks=False):
            selection.files.append(path)
        else:
            selection.links.append(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise CastError(
            f"{folder} cannot be read", "mend its permissions, or name it in .castariignore"
        ) from error


def _rules_in(root: Path, relative: PurePosixPath) -> list[_Rules]:
    patterns = [pattern for name in IGNORE_FILES for pattern in read_patterns(root / relative / name)]
    return [_Rules(relative, patterns)] if patterns else []


def _is_ignored(path: PurePosixPath, rules: list[_Rules], *, is_folder: bool) -> bool:
    """Ask the nearest folder first, as git does."""
    verdicts = (rule.verdict(path, is_folder=is_folder) for rule in reversed(rules))
    return next((verdict for verdict in verdicts if verdict is not None), False)


def is_never_packed(name: str) -> bool:
    """Return whether a file or folder of this name stays out of every bundle."""
    return _matches(name, _NEVER_QUIETLY) or _is_secret(name)


def _is_secret(name: str) -> bool:
    return _matches(name, _NEVER_SECRETS) and name.lower() not in _HARMLESS


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)
