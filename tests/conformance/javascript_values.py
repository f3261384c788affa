"""Values and names on their way between the suite and the JavaScript SDK; see javascript/driver.mjs."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import e2b
from e2b import exceptions

from tests.conformance.node import Message

_AS_GIVEN = {"metadata", "envs", "rules", "volume_mounts"}
"""Their keys are a user's own."""

_RENAMED = {
    "from_aws_registry": "fromAWSRegistry",
    "from_gcp_registry": "fromGCPRegistry",
    "memory_mb": "memoryMB",
    "service_account_json": "serviceAccountJSON",
}
_TIMES = {"timeout": "timeoutMs", "request_timeout": "requestTimeoutMs"}
_ENUMS: dict[str, list[type[Enum]]] = {
    "state": [e2b.SandboxState],
    "type": [e2b.FileType, e2b.FilesystemEventType],
}
_OPTIONAL = {"entry", "error", "metadata", "name", "symlink_target", "tag", "cwd"}
_GONE = re.compile("sandbox timeout|end of life|probably not running")


class Record(dict[str, Any]):
    """An answer: its fields are attributes and items; an optional one that did not come is None."""

    def __getattr__(self, name: str) -> Any:
        if name in self or name in _OPTIONAL:
            return self.get(name)
        raise AttributeError(f"{name}: only {', '.join(self)}")


def to_json(value: Any) -> Any:
    """Encode what a test passes, but for functions and objects of the SDK."""
    for kind, encode in _ENCODERS:
        if isinstance(value, kind):
            return encode(value)
    return to_json(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value


def _pack(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _stream(file: Any) -> Message:
    return {"$stream": [_pack(chunk) for chunk in iter(lambda: file.read(1 << 20), b"")]}


def _object(value: dict[str, Any]) -> Message:
    encoded = {}
    for name, each in value.items():
        if name in _TIMES and each is not None:
            encoded[_TIMES[name]] = each * 1000
        else:
            as_given = name in _AS_GIVEN and isinstance(each, dict)
            encoded[to_camel(name)] = dict(each) if as_given else to_json(each)
    return encoded


_ENCODERS: list[tuple[Any, Callable[[Any], Any]]] = [
    (bytes | bytearray, lambda value: {"$bytes": _pack(value)}),
    (io.IOBase, _stream),
    (Enum, lambda value: value.value),
    (datetime, lambda value: {"$date": value.isoformat()}),
    (dict, _object),
    (list | tuple, lambda value: [to_json(each) for each in value]),
]


def from_json(value: Any, make_object: Callable[[Message], Any]) -> Any:
    """Decode what came back; `make_object` knows what stands for an object of the SDK."""
    if isinstance(value, list):
        return [from_json(each, make_object) for each in value]
    if not isinstance(value, dict):
        return value
    decoders: dict[str, Callable[[Message], Any]] = {
        "$handle": make_object,
        "$error": lambda each: to_exception(each["$error"]),
        "$bytes": lambda each: base64.b64decode(each["$bytes"]),
        "$date": lambda each: datetime.fromisoformat(each["$date"]),
    }
    if decode := decoders.get(next(iter(value), "")):
        return decode(value)
    fields = ((to_snake(name), each) for name, each in value.items())
    return Record({name: _field(name, each, make_object) for name, each in fields})


def _field(name: str, value: Any, make_object: Callable[[Message], Any]) -> Any:
    if name in _AS_GIVEN:
        return value
    for enum in _ENUMS.get(name, []):
        if value in [each.value for each in enum]:
            return enum(value)
    return from_json(value, make_object)


def to_exception(error: Message) -> Exception:
    """The Python SDK's exception of the same name. It alone has a class for a sandbox that is gone."""
    name, message = error["name"], error["message"]
    if name == "CommandExitError":
        return e2b.CommandExitException(
            stderr=error["stderr"],
            stdout=error["stdout"],
            exit_code=error["exitCode"],
            error=error.get("error"),
        )
    if name in {"TimeoutError", "SandboxNotFoundError"} and _GONE.search(message):
        return exceptions.SandboxNotRunningException(message)
    kind: type[Exception] | None = getattr(exceptions, name.removesuffix("Error") + "Exception", None)
    raised = kind(message) if kind else RuntimeError(f"{name}: {message}")
    if "statusCode" in error:
        raised.__dict__["status_code"] = error["statusCode"]
    return raised


def to_camel(name: str) -> str:
    """`end_at` becomes `endAt`."""
    if name in _RENAMED:
        return _RENAMED[name]
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def to_snake(name: str) -> str:
    """`memoryMB` becomes `memory_mb`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z]+)", r"_\1", name).lower()
