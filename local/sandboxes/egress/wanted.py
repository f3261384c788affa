"""Reads from a connection's first bytes which host it is for: HTTP's Host, or the name in a TLS hello."""

import ssl
from typing import Protocol

import h11

MAX_HEAD_BYTES = 16 * 1024
MAX_HELLO_BYTES = 64 * 1024


class Wanted(Protocol):
    """Takes bytes until it knows the name, or that there is none."""

    @property
    def name(self) -> str | None:
        """The host that is wanted, in lower case, once `feed` said that it is known."""

    def feed(self, data: bytes) -> bool:
        """Take bytes. Returns whether the name is known now. Raises `ValueError` for another protocol."""

    def refusal(self, reason: str) -> bytes:
        """What to tell a client that may not pass."""


class WantedByHost:
    """Reads the head of a connection's first HTTP request."""

    def __init__(self) -> None:
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.name: str | None = None

    def feed(self, data: bytes) -> bool:
        """Take more of the head. The parser refuses a second Host."""
        try:
            self._parser.receive_data(data)
            event = self._parser.next_event()
        except h11.RemoteProtocolError as error:
            raise ValueError(f"not an HTTP request: {error}") from None
        if event is h11.NEED_DATA:
            return False
        if not isinstance(event, h11.Request) or not event.target.startswith((b"/", b"*")):
            # A whole URL, or CONNECT, asks for another host than the one that is connected.
            raise ValueError("the request's target must be a path")
        hosts = [value for name, value in event.headers if name == b"host"]
        self.name = hosts[0].decode("ascii").partition(":")[0].strip().lower() if hosts else None
        return True

    def refusal(self, reason: str) -> bytes:
        """Say why in an answer of HTTP's own."""
        body = f"{reason}\n".encode()
        head = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class WantedByHello:
    """Reads a TLS ClientHello. OpenSSL parses it, and is stopped as soon as it tells the name."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._note
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._handshake = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._known = False
        self._fed = 0
        self.name: str | None = None

    def feed(self, data: bytes) -> bool:
        """Take more of the hello."""
        self._fed += len(data)
        if self._fed > MAX_HELLO_BYTES:
            raise ValueError("the TLS hello is too long")
        self._incoming.write(data)
        try:
            self._handshake.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            if not self._known:
                raise ValueError(f"not a TLS hello: {error.reason}") from None
        return True

    def refusal(self, _: str) -> bytes:
        """The alert `access_denied`, as OpenSSL wrote it when it was stopped."""
        return self._outgoing.read()

    def _note(self, _: object, name: str | None, __: object) -> int:
        self._known, self.name = True, name.lower() if name else None
        return ssl.AlertDescription.ALERT_DESCRIPTION_ACCESS_DENIED
