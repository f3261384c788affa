"""Follows what an agent prints, part by part, through short outages."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from cast import waiting
from cast.api import Api
from cast.errors import Json

_WAIT_SECONDS = 15
# The platform answers with at most 256 KiB: after so many bytes there is likely more at once.
_LARGE_BYTES = 200_000


@dataclass
class Output:
    """One stream of one invocation, from an offset on."""

    api: Api
    path: str
    stream: str
    offset: int = 0

    def part(self, *, wait_seconds: int = 0) -> Json:
        """Return the next part, and go on behind it."""
        query = f"stream={self.stream}&offset={self.offset}&wait={wait_seconds}"
        part = self.api.get(f"{self.path}/output?{query}")
        self.offset = int(part["next_offset"])
        return part

    def follow(self, write: Callable[[bytes], None], *, patience_seconds: float) -> bool:
        """Give all parts to `write` until the stream is done; tell whether it was."""

        def ask() -> Json:
            part = self.part(wait_seconds=_WAIT_SECONDS)
            write(content_of(part))
            while not part["done"] and len(part["content"]) >= _LARGE_BYTES:
                part = self.part()
                write(content_of(part))
            return part

        return any(part["done"] for part in waiting.answers(ask, patience_seconds=patience_seconds))


def write_all(output: Output, write: Callable[[bytes], None]) -> None:
    """Give all that there is now to `write`."""
    while True:
        part = output.part()
        write(content_of(part))
        if part["done"] or not part["content"]:
            return


def content_of(part: Json) -> bytes:
    """Return the bytes of a part."""
    text = str(part["content"])
    return base64.b64decode(text) if part["is_base64"] else text.encode()
