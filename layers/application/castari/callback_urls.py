"""Where results may be sent: https to a host of the internet, or http to one port of this machine."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from castari.addresses import is_global

LONGEST_CHARACTERS = 2048
_SAFE = re.compile(r"[!-\[\]-~]+")
"""ASCII that can be seen, without the backslash, which some take for a slash."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""What makes a host an IPv4 address to most parsers when its last label is one."""
_PRIVATE_ENDS = frozenset({"localhost", "local", "internal", "localdomain", "invalid", "onion"})
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_LONGEST_NAME = 253
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Target:
    """An address that was taken apart once, so that nobody reads it in another way."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def is_plain(self) -> bool:
        """Whether it is http, which only this machine itself may be called by."""
        return self.scheme == "http"

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Take an address apart. Raises `ValueError` with what is wrong with it and what to do."""
    if len(url) > LONGEST_CHARACTERS:
        raise ValueError(f"is longer than {LONGEST_CHARACTERS} characters: shorten it")
    if not _SAFE.fullmatch(url):
        raise ValueError("may hold visible ASCII alone, no backslash: encode the rest (%20, xn--…)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("is no URL: write it as https://host/path") from error
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in _PORTS or (scheme == "http" and host not in _LOOPBACK_HOSTS):
        raise ValueError("must begin with https://")
    if "@" in parts.netloc:
        raise ValueError("must hold no user or password: the signature tells that it comes from here")
    if "#" in url:
        raise ValueError("must have no fragment (#…): it would not be sent")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("must name a port from 1 to 65535, or none")
    if scheme == "https":
        _check_host(host, is_bracketed="[" in parts.netloc)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port or _PORTS[scheme], path)


def _check_host(host: str, *, is_bracketed: bool) -> None:
    labels = host.split(".")
    if is_bracketed or _NUMBER.fullmatch(labels[-1]):
        if not is_global(host):
            raise ValueError(f"`{host}` is no public address: name a host on the internet")
        return
    if len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("names no host: write it as https://host.example/path")
    if len(labels) == 1 or labels[-1] in _PRIVATE_ENDS:
        raise ValueError(f"`{host}` is no public name: name a host on the internet")
