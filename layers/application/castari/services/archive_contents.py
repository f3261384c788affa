"""The entries of a bundle, held one by one against the limits.

However many entries a stranger thinks up, only digests of their names are kept.
"""

import hashlib
import unicodedata

from castari import manifest
from castari.errors import Unprocessable
from castari.manifest import Manifest
from castari.services.archive_streams import Readable, refused
from castari.services.archive_warnings import Warnings
from castari.services.dependencies import INSTALL_FILES

MOST_ENTRIES = 20_000
LONGEST_PATH_BYTES = 1_000
_MOST_UNPACKED_BYTES = 1024**3
_DEEPEST_PATH = 40
_LARGEST_KEPT_BYTES = 10 * 1024**2
_MOST_KEPT_BYTES = 16 * 1024**2
_NOT_PART_OF_IT = ("__MACOSX/", "node_modules/", ".venv/", ".git/")


class Contents:
    """The entries so far, held against the limits one by one."""

    def __init__(self) -> None:
        self._files: set[bytes] = set()
        self._folders: set[bytes] = set()
        self._folded: set[bytes] = set()
        self._kept: dict[str, bytes] = {}
        self._tops: set[str] = set()
        self._entries = 0
        self._unpacked = 0
        self.warnings = Warnings()

    def add(self, name: str, size: int, *, is_folder: bool, content: Readable | None) -> None:
        """Take one entry in. Raises `Unprocessable`."""
        self._count(size)
        path = _checked_path(name)
        if is_folder and size:
            raise refused(f"`{name[:200]}` is a folder with content", "pack plain files and folders only")
        if path:
            self._place(path, is_folder=is_folder)
        if is_folder or not path:
            return
        self.warnings.look_at(path)
        if _is_part(path) and len(self._tops) < 2:  # noqa: PLR2004 - one more than the one that may be the root
            self._tops.add(f"{path.split('/')[0]}/" if "/" in path else "")
        base = path.rpartition("/")[2]
        if content and base in INSTALL_FILES | {manifest.FILE_NAME} and path.count("/") <= 1:
            self._keep(path, size, content)

    def manifest(self) -> tuple[str, Manifest]:
        """Return the root and what castari.json there says. Raises `Unprocessable`."""
        root = next(iter(self._tops)) if len(self._tops) == 1 else ""
        if f"{root}{manifest.FILE_NAME}" not in self._kept:
            raise Unprocessable(
                "castari.json not found: put it at the top of the bundle, with `name` and `entrypoint`",
                field=(manifest.FILE_NAME,),
                kind="missing",
            )
        found = manifest.parse(self._kept[f"{root}{manifest.FILE_NAME}"])
        # A build script may be what writes the entrypoint: then the build looks for it.
        if not found.build and _digest(f"{root}{found.entrypoint}") not in self._files:
            raise Unprocessable(
                f"castari.json: `entrypoint`: `{found.entrypoint}` is not in the bundle: name a file that is",
                field=(manifest.FILE_NAME, "entrypoint"),
                kind="missing",
            )
        return root, found

    def install_files(self, root: str) -> dict[str, bytes]:
        """Return what decides about an install, of those at the root."""
        return {name: self._kept[root + name] for name in INSTALL_FILES if root + name in self._kept}

    def _count(self, size: int) -> None:
        self._entries += 1
        self._unpacked += size
        if self._entries > MOST_ENTRIES:
            raise too_many()
        if self._unpacked > _MOST_UNPACKED_BYTES:
            raise refused(
                f"unpacked it is larger than {_MOST_UNPACKED_BYTES} bytes", "leave out what is not needed"
            )

    def _place(self, path: str, *, is_folder: bool) -> None:
        """Refuse what cannot stand beside what is there already."""
        parts = path.split("/")
        folders = parts if is_folder else parts[:-1]
        for depth in range(len(folders), 0, -1):
            folder = _digest("/".join(folders[:depth]))
            if folder in self._files:
                raise refused(f"`{path[:200]}` lies in what is a file", "keep one of them")
            if folder in self._folders:
                break
            self._folders.add(folder)
        if len(self._folders) > MOST_ENTRIES:
            raise too_many()
        if not is_folder:
            self._place_file(path)

    def _place_file(self, path: str) -> None:
        digest, folded = _digest(path), _digest(unicodedata.normalize("NFC", path).casefold())
        if digest in self._folders:
            raise refused(f"`{path[:200]}` is a file and a folder", "keep one of them")
        if folded in self._folded:
            raise refused(
                f"`{path[:200]}` is there twice, at least when upper and lower case count as the same name",
                "keep one of them",
            )
        self._folded.add(folded)
        self._files.add(digest)

    def _keep(self, path: str, size: int, content: Readable) -> None:
        """Keep a small file, of those that may be at the root."""
        top = f"{path.split('/', maxsplit=1)[0]}/" if "/" in path else ""
        if top and top not in self._tops:
            return
        if size > _LARGEST_KEPT_BYTES or size + sum(map(len, self._kept.values())) > _MOST_KEPT_BYTES:
            raise refused(f"`{path}` is larger than {_LARGEST_KEPT_BYTES} bytes", "make it smaller")
        self._kept[path] = content.read(size)


def too_many() -> Unprocessable:
    """Return the error for a bundle with too many entries."""
    return refused(f"it has more than {MOST_ENTRIES} entries", "leave out what the agent does not need")


def _is_part(path: str) -> bool:
    return not path.startswith(_NOT_PART_OF_IT) and not path.rpartition("/")[2].startswith("._")


def _checked_path(name: str) -> str:
    """Return the path without dots and doubled slashes. Raises `Unprocessable` if it is no plain one."""
    shown = name[:200]
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name:
        raise refused(f"`{shown}` leaves the bundle", "use paths inside the folder, with forward slashes")
    if any(ord(character) < ord(" ") or ord(character) == 127 for character in name):  # noqa: PLR2004 - DEL
        raise refused(f"{shown!r} has control characters in its name", "rename it")
    if len(name.encode()) > LONGEST_PATH_BYTES or len(parts) > _DEEPEST_PATH:
        raise refused(f"`{shown}` is too long or too deep a path", "shorten it")
    return "/".join(part for part in parts if part not in {"", "."})


def _digest(path: str) -> bytes:
    return hashlib.blake2b(path.encode(), digest_size=16).digest()
