"""Names in a bundle that may hold secrets: a bundle is kept, and whoever may read it reads all of it."""

from fnmatch import fnmatchcase

_SECRET = (
    ".env", ".env.*", ".npmrc", ".yarnrc.yml", ".netrc", ".pypirc", ".git-credentials", ".aws", ".ssh",
    ".gnupg", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "id_rsa", "id_dsa", "id_ecdsa",
    "id_ed25519",
)  # fmt: skip
_HARMLESS = frozenset({".env.example", ".env.sample", ".env.template"})
_MOST_NAMED = 10
_LONGEST_NAME = 200


class Warnings:
    """Takes in the names of a bundle's files; names the first few that should not be there."""

    def __init__(self) -> None:
        self._named: list[str] = []
        self._more = 0

    def look_at(self, path: str) -> None:
        """Take in one file."""
        if not may_hold_secrets(path):
            return
        if len(self._named) < _MOST_NAMED:
            self._named.append(path[:_LONGEST_NAME])
        else:
            self._more += 1

    @property
    def texts(self) -> tuple[str, ...]:
        """One warning for each name, and what to do instead."""
        rest = [f"{self._more} more files may hold secrets"] if self._more else []
        return (
            *(
                f"`{path}` may hold a secret: leave it out, and use `cast secrets set`"
                for path in self._named
            ),
            *rest,
        )


def may_hold_secrets(path: str) -> bool:
    """Tell whether a file's name, or that of a folder it is in, is one that secrets are kept under."""
    names = [name for name in path.lower().split("/") if name not in _HARMLESS]
    return any(fnmatchcase(name, pattern) for name in names for pattern in _SECRET)
