"""Patterns of .gitignore files, as git itself reads them: https://git-scm.com/docs/gitignore.

Names and patterns are bytes to git, so both are compared as bytes here, and `?` is one byte.
Not by the library pathspec: its 1.1.1 knows no classes such as `[[:alpha:]]`, and would let files in or out
that git does not. What git itself says is the test.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_CLASSES = {
    b"alnum": rb"a-zA-Z0-9", b"alpha": rb"a-zA-Z", b"digit": rb"0-9", b"lower": rb"a-z", b"upper": rb"A-Z",
    b"space": rb"\s", b"xdigit": rb"0-9a-fA-F", b"punct": rb"!-/:-@\[-`{-~",
}  # fmt: skip
_TOKEN = re.compile(
    rb"\\(?P<escaped>.)|(?P<set>\[[!^]?\]?(?:\[:\w+:\]|\\.|[^\]\\])*\])|(?P<stars>\*+)|(?P<one>\?)|(?P<literal>[^\\\[])",
    re.DOTALL,
)
_WILD = re.compile(rb"[*?\[\\]")
_MEMBER = re.compile(rb"\[:(?P<name>\w+):\]|\\(?P<escaped>.)|(?P<range>-)|(?P<literal>.)", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """One line; `whole` patterns speak of the path below their folder, others of its last part."""

    regex: re.Pattern[bytes]
    ignores: bool
    folders_only: bool
    whole: bool

    def matches(self, path: PurePosixPath, *, is_folder: bool) -> bool:
        """Return whether the line speaks of this path, which is relative to the line's folder."""
        if self.folders_only and not is_folder:
            return False
        return self.regex.fullmatch(os.fsencode(path if self.whole else path.name)) is not None


def read_patterns(path: Path) -> list[Pattern]:
    """Return the patterns of an ignore file, none when it is not there; senseless lines match nothing."""
    if not path.is_file():
        return []
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [pattern for pattern in map(parse, lines) if pattern is not None]


def parse(line: bytes) -> Pattern | None:
    """Return the pattern of a line, or None for a comment and for what can match nothing."""
    text = re.sub(rb"(?<!\\)((?:\\\\)*) +$", rb"\1", line.removesuffix(b"\r"))
    if text.startswith(b"#"):
        return None
    ignores = not text.startswith(b"!")
    text = text.removeprefix(b"!")
    body = text.removesuffix(b"/")
    whole = b"/" in body
    regex = _regex(body.removeprefix(b"/"))
    return Pattern(regex, ignores, folders_only=body != text, whole=whole) if regex else None


def _regex(text: bytes) -> re.Pattern[bytes] | None:
    """Translate a shell pattern; None when it is empty or broken."""
    result, position = b"", 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        result, position = result + _translated(text, token), token.end()
        # `**/` also stands for no folder at all, so its slash belongs to it.
        if result.endswith(b"(?:.*/)?"):
            position += 1
    try:
        return re.compile(result, re.DOTALL) if text else None
    except re.error:
        return None


def _translated(text: bytes, token: re.Match[bytes]) -> bytes:
    if token["stars"]:
        return _stars(text, *token.span())
    if token["one"]:
        return b"[^/]"
    if token["set"]:
        return _set(token["set"])
    return re.escape(token["escaped"] or token["literal"])


def _stars(text: bytes, start: int, end: int) -> bytes:
    """Two stars between slashes, or at an end, cross folders; any other number is like one.

    git compares what comes before the first wildcard by itself, so the rest begins like a pattern of its own.
    """
    begins = text[start - 1 : start] in {b"", b"/"} or not _WILD.search(text[:start])
    alone = begins and text[end : end + 1] in {b"", b"/"}
    if end - start < 2 or not alone:  # noqa: PLR2004
        return b"[^/]*"
    return b"(?:.*/)?" if end < len(text) else b".*"


def _set(text: bytes) -> bytes:
    """Translate `[…]`, which never matches a slash."""
    inner = text[1:-1]
    negated = inner[:1] in {b"!", b"^"}
    members = b"".join(_member(match) for match in _MEMBER.finditer(inner[1:] if negated else inner))
    return b"(?!/)[" + (b"^" if negated else b"") + members + b"]"


def _member(match: re.Match[bytes]) -> bytes:
    if match["name"]:
        return _CLASSES.get(match["name"], b"")
    return b"-" if match["range"] else re.escape(match["escaped"] or match["literal"])
