"""Which requests of a sandbox may pass to the local S3: query-signed GET and PUT on objects of two buckets.

The local AWS verifies the signature of a role's session key, but trusts some key ids without one (the
default key, account numbers, its own root key). So only session keys pass, and with them only what the
signature covers: no header beside it, no parameter that is not part of it.
"""

import dataclasses
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

MAX_BODY_BYTES = 1024**3
"""A built dependency tree is the largest thing that a sandbox hands in."""

_METHODS = frozenset({"GET", "PUT"})
_REQUIRED = frozenset(
    f"X-Amz-{name}"
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature", "Security-Token")
)
_SESSION_KEY = re.compile(r"ASIA[A-Z0-9]{16}/[0-9]{8}/[a-z0-9-]+/s3/aws4_request")
_SIGNABLE_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "content-md5",
        "content-type",
        "if-match",
        "if-none-match",
        "x-amz-checksum-sha256",
    }
)
_UNSIGNED_HEADERS = frozenset({"content-length", "range"})
_PATH = re.compile(r"/(?P<bucket>[a-z0-9.-]+)/(?P<key>[A-Za-z0-9._~%=+@!$&'()*,;:/-]+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


class Refused(Exception):
    """The request may not pass; `status` is all that a sandbox is told."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Rules:
    """What one relay admits: `host` is its own address and port, which the signature covers."""

    host: str
    buckets: frozenset[str]

    def admit(self, method: str, target: str, headers: list[tuple[str, str]]) -> dict[str, str]:
        """Return the headers to pass on with this request target. Raises `Refused`."""
        path, _, query = target.partition("?")
        if method not in _METHODS:
            raise Refused(405, "method")
        self._check_path(path)
        signed = _signed_headers(query)
        values = _single(headers)
        if values.get("host") != self.host:
            raise Refused(400, "host")
        _check_body(method, values)
        return {name: value for name, value in values.items() if name in signed | _UNSIGNED_HEADERS}

    def _check_path(self, path: str) -> None:
        match = _PATH.fullmatch(path)
        if not match or match["bucket"] not in self.buckets:
            raise Refused(403, "bucket")
        key = unquote(match["key"])
        if key.count("/") != match["key"].count("/") or _CONTROL.search(key) or "%" in key:
            raise Refused(403, "encoded key")
        if any(segment in ("", ".", "..") for segment in key.split("/")):
            raise Refused(403, "key")


def _signed_headers(query: str) -> frozenset[str]:
    """Return the names of the headers that the signature covers."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise Refused(403, "query") from error
    parameters = dict(pairs)
    if len(pairs) != len(parameters) or parameters.keys() != _REQUIRED:
        raise Refused(403, "parameters")
    if parameters["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256" or not _SESSION_KEY.fullmatch(
        parameters["X-Amz-Credential"]
    ):
        raise Refused(403, "credential")
    signed = frozenset(parameters["X-Amz-SignedHeaders"].split(";"))
    if "host" not in signed or not signed <= _SIGNABLE_HEADERS:
        raise Refused(403, "signed headers")
    return signed


def _single(headers: list[tuple[str, str]]) -> Mapping[str, str]:
    values = {name.lower(): value for name, value in headers}
    if len(values) != len(headers):
        raise Refused(400, "repeated header")
    return values


def _check_body(method: str, values: Mapping[str, str]) -> None:
    length = values.get("content-length", "0" if method == "GET" else "")
    if "transfer-encoding" in values or not length.isdecimal():
        raise Refused(411, "length")
    if int(length) > (MAX_BODY_BYTES if method == "PUT" else 0):
        raise Refused(413, "size")
