"""Builds the root filesystem of every sandbox from the definition, as two cached overlay layers.

The `os` layer (Debian, Node.js, the user) takes half a minute; the `files` layer on top holds
what changes often: our scripts and the host's own certificate authorities.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from local.sandboxes.bytecode import compile_sources
from local.sandboxes.debian import HOST_PACKAGES, Progress, build_debian
from local.sandboxes.definition import CACHE, Definition
from local.sandboxes.locales import FOLDER as LOCALES
from local.sandboxes.locales import archive_locale, has_locale

__all__ = ["CACHE", "FIRST_UID", "HOST_PACKAGES", "Progress", "RootFilesystem", "build", "host_authorities"]

FIRST_UID = 2_000_000_000
"""Owner on disk of what belongs to a sandbox's root; every file is stored shifted by it. One range for all,
as layers are shared: each sandbox sees them through mounts that map it to ids of its own. These lie above it
and above what adduser, subuid files and systemd hand out, so that on the host its processes are nobody."""

_RECIPE = "1"  # Raise these when the steps below change what they make from the same definition.
_FILES_RECIPE = "3"  # The same for the upper layer.
_HOST_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_PROFILE = "etc/profile"
_PRIVATE_CA_ENV = {
    "SSL_CERT_FILE": f"/{_BUNDLE}",
    "REQUESTS_CA_BUNDLE": f"/{_BUNDLE}",
    # NODE_EXTRA_CA_CERTS would do the same and costs each node process 40 ms; this is free.
    "NODE_OPTIONS": "--use-openssl-ca",
}


@dataclass(frozen=True)
class RootFilesystem:
    """A built root filesystem: overlay lower directories, topmost first, and the default environment."""

    directories: tuple[Path, ...]
    env: dict[str, str]


def build(
    definition: Definition,
    cache: Path,
    progress: Progress = lambda *_: None,
    build_os: Callable[[Definition, Path, Progress], None] = build_debian,
) -> RootFilesystem:
    """Build what `cache` lacks and return it. Needs root. Raises `EngineError` when a step fails."""
    cache.mkdir(parents=True, exist_ok=True, mode=0o711)
    os_key = json.dumps([_RECIPE, platform.machine(), asdict(definition) | {"copies": [], "env": {}}])
    os_layer = cache / f"os-{_digest(os_key.encode())}"
    _once(os_layer, lambda tree: build_os(definition, tree, progress))
    authorities = host_authorities()
    files_layer = cache / f"files-{_files_digest(definition, os_layer, authorities)}"
    _once(files_layer, lambda tree: _build_files(definition, os_layer, authorities, tree))
    return RootFilesystem((files_layer, os_layer), definition.env | (_PRIVATE_CA_ENV if authorities else {}))


def host_authorities() -> bytes:
    """Return the certificate authorities that the host's owner added, as PEM; empty when there are none."""
    return b"\n".join(path.read_bytes() for path in sorted(_HOST_AUTHORITIES.rglob("*.crt")))


def _once(target: Path, build_tree: Callable[[Path], None]) -> None:
    """Build into a temporary folder and rename it, so that a crash never leaves half a layer.

    One at a time for each cache: whoever comes second finds it built.
    """
    if target.exists():
        return
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scratch = target.parent / "building"
        shutil.rmtree(scratch, ignore_errors=True)  # A crash may have left it.
        if target.exists():
            return
        try:
            (tree := scratch / "tree").mkdir(parents=True)
            build_tree(tree)
            _shift_owners(tree)
            tree.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _build_files(definition: Definition, os_layer: Path, authorities: bytes, tree: Path) -> None:
    for copy in definition.copies:
        for source in _files(copy.source):
            target = Path(copy.target.lstrip("/")) / source.relative_to(copy.source)
            _make_parents(target.parent, os_layer, tree)
            shutil.copyfile(source, tree / target)
            (tree / target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    _compile(os_layer, tree)
    if has_locale(os_layer):
        _make_parents(LOCALES, os_layer, tree)
        archive_locale(os_layer, tree)
    if authorities:
        _make_parents(Path(_BUNDLE).parent, os_layer, tree)
        (tree / _BUNDLE).write_bytes((os_layer / _BUNDLE).read_bytes() + b"\n" + authorities)
    if (profile := os_layer / _PROFILE).exists():
        _make_parents(Path(_PROFILE).parent, os_layer, tree)
        (tree / _PROFILE).write_text(_quick_profile(profile.read_text()))


def _quick_profile(text: str) -> str:
    """Let login shells, which every command of the SDKs is, ask themselves who they are, not a process."""
    return text.replace("$(id -u)", "${EUID:-$(id -u)}")


def _compile(os_layer: Path, tree: Path) -> None:
    sources = {f"/{path.relative_to(tree)}": path.read_text() for path in sorted(tree.rglob("*.py"))}
    for name, content in compile_sources(os_layer, sources).items() if sources else ():
        target = tree / name.lstrip("/")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def _make_parents(directory: Path, os_layer: Path, tree: Path) -> None:
    """Make a folder with the owner and mode it has below: an overlay shows those of its topmost layer."""
    for path in [*reversed(directory.parents), directory]:
        below, here = os_layer / path, tree / path
        here.mkdir(exist_ok=True)
        if below.is_dir():
            status = below.stat()
            os.chown(here, status.st_uid - FIRST_UID, status.st_gid - FIRST_UID)
            here.chmod(stat.S_IMODE(status.st_mode))


def _shift_owners(tree: Path) -> None:
    _shift(str(tree))
    for folder, folders, names in os.walk(tree):
        for name in (*folders, *names):
            _shift(os.path.join(folder, name))  # noqa: PTH118 (twenty thousand times)


def _shift(path: str) -> None:
    status = os.lstat(path)
    os.lchown(path, status.st_uid + FIRST_UID, status.st_gid + FIRST_UID)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))  # noqa: PTH101 (chown cleared the set-id bits)


def _files(source: Path) -> Iterator[Path]:
    files = (path for path in source.rglob("*") if path.is_file())
    yield from sorted(path for path in files if path.parent.name != "__pycache__")


def _files_digest(definition: Definition, os_layer: Path, authorities: bytes) -> str:
    digest = hashlib.sha256(f"{_FILES_RECIPE}{os_layer.name}".encode() + authorities)
    for copy in definition.copies:
        for path in _files(copy.source):
            name = f"{copy.target}:{path.relative_to(copy.source)}:{os.access(path, os.X_OK)}"
            digest.update(f"{name}:{_digest(path.read_bytes())}".encode())
    return digest.hexdigest()[:16]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
