"""The Connect protocol with its JSON codec: single messages, and streams of framed ones.

A frame is one flag byte, the payload's length in four bytes, most significant first,
and the payload. The last frame of a stream carries the flag 2 and the outcome.
"""

import base64
import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar

from aiohttp import StreamReader, web

from local.sandboxes.envd.errors import HTTP_STATUS, ConnectError

Message = dict[str, Any]
T = TypeVar("T")

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""The longest message taken, so that one request can not fill the sandbox's memory."""

DEFAULT_KEEPALIVE_SECONDS = 90

STREAM_TYPE = "application/connect+json"
_END = 2
FRAME_HEADER_BYTES = 5


class Last(bytes):
    """The frames with which a stream ends well: they go out in one packet with how it ended."""


def frame(payload: bytes, flags: int = 0) -> bytes:
    """One message of a stream."""
    return bytes((flags,)) + len(payload).to_bytes(4, "big") + payload


def parse(payload: bytes) -> Message:
    """Read one JSON message. Raises `ConnectError` for anything but an object."""
    try:
        message = json.loads(payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise ConnectError("invalid_argument", f"the message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ConnectError("invalid_argument", "the message is not a JSON object")
    return message


def field(message: Message, name: str, kind: type[T], default: T) -> T:
    """Read an optional field; an absent one and `null` mean its default, as in protobuf."""
    value = message.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConnectError("invalid_argument", f"'{name}' must be of type {kind.__name__}")
    return value


def bytes_field(message: Message, name: str) -> bytes:
    """Read a bytes field, which JSON carries as base64."""
    try:
        return base64.b64decode(field(message, name, str, ""), validate=True)
    except binascii.Error:
        raise ConnectError("invalid_argument", f"'{name}' is not base64") from None


def timeout_seconds(request: web.BaseRequest) -> float | None:
    """The caller's deadline from `Connect-Timeout-Ms`; `None` if there is none."""
    value = request.headers.get("Connect-Timeout-Ms", "")
    if not value:
        return None
    if not value.isdecimal() or len(value) > 10:  # noqa: PLR2004 - the protocol's own limit
        raise ConnectError("invalid_argument", "Connect-Timeout-Ms must be a number of at most ten digits")
    return int(value) / 1000


def keepalive_seconds(request: web.BaseRequest) -> float:
    """How long a stream may be silent, as its client wishes."""
    value = request.headers.get("Keepalive-Ping-Interval", "")
    return max(1.0, float(value)) if value.isdecimal() else DEFAULT_KEEPALIVE_SECONDS


async def read_unary(request: web.BaseRequest) -> Message:
    """Read the one message of a unary call."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        _check_length(len(body))
    return parse(bytes(body))


async def read_frames(content: StreamReader) -> AsyncIterator[Message]:
    """Read framed messages until the client ends its stream."""
    received = bytearray()
    while (message := await _next_message(content, received)) is not None:
        yield message


async def read_request(request: web.BaseRequest) -> Message:
    """Read the single message that opens a server stream."""
    message = await _next_message(request.content, bytearray())
    if message is None:
        raise ConnectError("invalid_argument", "the stream has no message")
    return message


async def _next_message(content: StreamReader, received: bytearray) -> Message | None:
    """Take one message off what was received, and wait for as much as it takes; none at the stream's end."""
    if not await _has(content, received, 1):
        return None
    await _need(content, received, FRAME_HEADER_BYTES)
    length = int.from_bytes(received[1:FRAME_HEADER_BYTES], "big")
    _check_length(length)
    end = FRAME_HEADER_BYTES + length
    await _need(content, received, end)
    flags, payload = received[0], bytes(received[FRAME_HEADER_BYTES:end])
    del received[:end]
    if flags & _END:
        return None
    if flags:
        raise ConnectError("unimplemented", "compressed messages are not supported")
    return parse(payload)


def answer(message: Message) -> web.Response:
    """Answer a unary call."""
    return web.Response(body=_encode(message), content_type="application/json")


def refuse(error: ConnectError) -> web.Response:
    """Answer a unary call that failed."""
    status = HTTP_STATUS[error.code]
    return web.Response(status=status, body=_encode(error.to_json()), content_type="application/json")


async def answer_stream(
    request: web.BaseRequest, opening: Awaitable[AsyncGenerator[bytes, None]]
) -> web.StreamResponse:
    """Send frames as they come, then how the stream ended. A `ConnectError` becomes its last frame."""
    response: web.StreamResponse | None = None
    outcome: Message = {}
    rest = b""
    try:
        # Not before the request is read: clients stop sending at the first byte of an answer.
        async with aclosing(await opening) as frames:
            response = await _begin(request)
            rest = await _send(request, response, frames)
    except ConnectError as error:
        outcome = {"error": error.to_json()}
        if response is None:
            response = await _begin(request)
    await response.write_eof(rest + frame(_encode(outcome), _END))
    return response


async def _begin(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": STREAM_TYPE})
    await response.prepare(request)
    return response


async def _send(
    request: web.BaseRequest, response: web.StreamResponse, frames: AsyncGenerator[bytes, None]
) -> bytes:
    """Send frames but the last ones, which are returned."""
    try:
        async for each in frames:
            if isinstance(each, Last):
                return each
            await response.write(each)
    except ConnectError:
        raise
    except BaseException:
        # An end without the last chunk: nobody may take the half for the whole.
        if request.transport:
            request.transport.close()
        raise
    return b""


async def _has(content: StreamReader, received: bytearray, length: int) -> bool:
    """Receive until there are so many bytes. Tells whether there are, or else the stream has ended."""
    while len(received) < length:
        # What has arrived is taken in one piece, as most requests are one.
        chunk = await content.readany()
        if not chunk:
            return False
        received += chunk
    return True


async def _need(content: StreamReader, received: bytearray, length: int) -> None:
    if not await _has(content, received, length):
        raise ConnectError("invalid_argument", "the stream ends within a message")


def _encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _check_length(length: int) -> None:
    if length > MAX_MESSAGE_BYTES:
        limit = MAX_MESSAGE_BYTES // 1024 // 1024
        raise ConnectError(
            "resource_exhausted", f"a message may have at most {limit} MiB: send a file instead"
        )
