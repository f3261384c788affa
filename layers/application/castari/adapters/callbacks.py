"""Sends results to hosts that strangers name, and connects to the very address that was checked."""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
from httpcore import SOCKET_OPTION

from castari.adapters.hosts import Resolve, resolve
from castari.addresses import is_global, is_loopback
from castari.callback_urls import Target, parse
from castari.errors import CallbackForbidden, CallbackUnanswered

_LONGEST_SECONDS = 15.0
"""From the look-up of the name to the head of the answer; nothing behind the head is read."""
_MOST_ADDRESSES = 3


@dataclass(frozen=True)
class CallbackAnswer:
    """What a receiver answered, and how long it wants to be left alone."""

    status: int
    retry_after_seconds: int | None = None


@dataclass(frozen=True)
class CallbackSender:
    """Posts to the internet, and by http to `loopback_port` of this machine (0: not at all).

    There is no proxy, no redirect is followed and no connection is kept.
    """

    loopback_port: int = 0
    resolve: Resolve = resolve
    admits: Callable[[str], bool] = is_global
    tls: ssl.SSLContext = field(default_factory=httpcore.default_ssl_context, repr=False)
    seconds: float = _LONGEST_SECONDS

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> CallbackAnswer:
        """Post a body and return the answer's head. Raises `CallbackForbidden`, `CallbackUnanswered`."""
        try:
            target = parse(url)
        except ValueError as error:
            raise CallbackForbidden(f"the callback URL {error}") from error
        if target.is_plain and target.port != self.loopback_port:
            raise CallbackForbidden("the callback URL must begin with https://")
        try:
            async with asyncio.timeout(self.seconds):
                return await self._exchange(target, body, headers)
        except TimeoutError as error:
            raise CallbackUnanswered(f"the receiver did not answer within {self.seconds:g} s") from error
        except (httpcore.ConnectError, ssl.SSLError) as error:
            raise CallbackUnanswered(_unreachable(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise CallbackUnanswered("the receiver broke off or did not speak HTTP") from error

    async def _exchange(self, target: Target, body: bytes, headers: Mapping[str, str]) -> CallbackAnswer:
        admits = is_loopback if target.is_plain else self.admits
        wanted = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        head = {"Host": target.authority, "Content-Length": str(len(body)), **headers}
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self.tls, network_backend=_CheckedNetwork(self.resolve, admits)
            ) as pool,
            pool.stream("POST", wanted, headers=list(head.items()), content=body) as answer,
        ):
            return CallbackAnswer(answer.status, _retry_after(answer.headers))


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Looks a name up once, and connects to what it led to; TLS goes on to check the name itself."""

    def __init__(self, resolve: Resolve, admits: Callable[[str], bool]) -> None:
        self._resolve, self._admits, self._network = resolve, admits, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: httpcore.ConnectError | None = None
        for address in (await self._addresses(host, port))[:_MOST_ADDRESSES]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError(f"`{host}` has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("its name cannot be found") from error
        if not all(self._admits(address) for address in addresses):
            raise CallbackForbidden(f"the host `{host}` leads to an address that is not public")
        return addresses


def _unreachable(error: Exception) -> str:
    certificate = "CERTIFICATE_VERIFY_FAILED" in str(error)
    why = "its certificate is not good for its name" if certificate else str(error)
    return f"the receiver cannot be reached: {why}"


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """Return what the header says in seconds, whether it is a number or a date; None for anything else."""
    found = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    text = found.decode("ascii", "replace").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0, round((at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()))
