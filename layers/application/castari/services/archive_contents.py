"""The entries of a bundle, held one by one against the limits."""

from castari import manifest
from castari.errors import Unprocessable
from castari.manifest import Manifest
from castari.services.archive_streams import Readable, refused

_MOST_ENTRIES = 20_000
_MOST_UNPACKED_BYTES = 1024**3
_LONGEST_PATH = 1_000
_DEEPEST_PATH = 40
_KEPT_BYTES = 20 * 1024**2
_INSTALL_FILES = frozenset({"package.json", ".npmrc", "package-lock.json", "npm-shrinkwrap.json"})
_NOT_PART_OF_IT = ("__MACOSX/", "node_modules/", ".git/")


class Contents:
    """The entries so far, held against the limits one by one."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folded: dict[str, str] = {}
        self._kept: dict[str, bytes] = {}
        self._entries = 0
        self._unpacked = 0

    def add(self, name: str, size: int, *, is_folder: bool, content: Readable | None) -> None:
        """Take one entry in. Raises `Unprocessable`."""
        self._entries += 1
        self._unpacked += size
        if self._entries > _MOST_ENTRIES:
            raise refused(
                f"it has more than {_MOST_ENTRIES} entries", "leave out what the agent does not need"
            )
        if self._unpacked > _MOST_UNPACKED_BYTES:
            raise refused(
                f"unpacked it is larger than {_MOST_UNPACKED_BYTES} bytes", "leave out what is not needed"
            )
        path = _checked_path(name)
        if is_folder or not path:
            return
        self._refuse_twins(path)
        self._files.add(path)
        base = path.rpartition("/")[2]
        if content and base in _INSTALL_FILES | {manifest.FILE_NAME} and path.count("/") <= 1:
            self._kept[path] = _read_small(content, path, size)

    def manifest(self) -> tuple[str, Manifest]:
        """Return the root and what castari.json there says. Raises `Unprocessable`."""
        tops = {f"{path.split('/')[0]}/" if "/" in path else "" for path in self._files if _is_part(path)}
        root = tops.pop() if len(tops) == 1 else ""
        if f"{root}{manifest.FILE_NAME}" not in self._kept:
            raise Unprocessable(
                "castari.json not found: put it at the top of the bundle, with `name` and `entrypoint`",
                field=(manifest.FILE_NAME,),
                kind="missing",
            )
        found = manifest.parse(self._kept[f"{root}{manifest.FILE_NAME}"])
        if f"{root}{found.entrypoint}" not in self._files:
            raise Unprocessable(
                f"castari.json: `entrypoint`: `{found.entrypoint}` is not in the bundle: name a file that is",
                field=(manifest.FILE_NAME, "entrypoint"),
                kind="missing",
            )
        return root, found

    def install_files(self, root: str) -> dict[str, bytes]:
        """Return what decides about an install, of those at the root."""
        return {name: self._kept[root + name] for name in _INSTALL_FILES if root + name in self._kept}

    def _refuse_twins(self, path: str) -> None:
        folded = path.casefold()
        if folded in self._folded:
            raise refused(f"`{path}` and `{self._folded[folded]}` are the same name", "keep one of them")
        self._folded[folded] = path


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
    if len(name.encode()) > _LONGEST_PATH or len(parts) > _DEEPEST_PATH:
        raise refused(f"`{shown}` is too long or too deep a path", "shorten it")
    return "/".join(part for part in parts if part not in {"", "."})


def _read_small(content: Readable, path: str, size: int) -> bytes:
    if size > _KEPT_BYTES:
        raise refused(f"`{path}` is larger than {_KEPT_BYTES} bytes", "make it smaller")
    return content.read(size)
