"""E2B's JavaScript SDK in the words of the Python one, so that a test calls both in one way.

Names, units and shapes are translated; what a call does, answers and raises is the SDK's own.
"""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from tests.conformance.javascript_values import from_json, to_camel, to_exception, to_json, to_snake
from tests.conformance.node import Message, Node

MISSING = {"stream_input", "idempotency_key", "retain_output"}
"""Calls and options that only the Python SDK has."""

_RENAMED: dict[tuple[str, ...], tuple[str, ...]] = {("pty", "sendStdin"): ("pty", "sendInput")}


@dataclass(frozen=True)
class Description:
    """A template to build: a folder with its files, and what is called in turn on the SDK's builder."""

    context: str
    steps: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...]

    def to_json(self) -> Message:
        """As the driver reads it."""
        calls = [
            [to_camel(name), *arguments, *([to_json(options)] if options else [])]
            for name, arguments, options in self.steps
        ]
        return {"$template": {"context": self.context, "steps": calls}}


class Remote:
    """The SDK's class, one of its objects, or a method of either."""

    def __init__(self, node: Node, target: Any, properties: Message, path: tuple[str, ...] = ()) -> None:
        self._node, self._target, self._properties, self._path = node, target, properties, path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        key = to_camel(name.removeprefix("_"))
        if not self._path and key in self._properties:
            return self._decode(self._properties[key])
        return Remote(self._node, self._target, self._properties, (*self._path, key))

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the method. What this SDK lacks skips the test."""
        if missing := MISSING.intersection(map(to_snake, (*self._path, *options))):
            pytest.skip(f"the JavaScript SDK has no {missing.pop()}")
        given = [self._encode(each) for each in _arrange(self._path, arguments, options)]
        path = _RENAMED.get(self._path, self._path)
        answer = await asyncio.wrap_future(self._node.call(self._target, path, given))
        self._properties.update(answer["properties"])
        if "error" in answer:
            raise to_exception(answer["error"])
        return self._decode(answer["value"])

    def _encode(self, value: Any) -> Any:
        if isinstance(value, Description):
            return value.to_json()
        if isinstance(value, dict):
            return to_json(
                {name: self._encode(each) if callable(each) else each for name, each in value.items()}
            )
        if callable(value):
            return self._node.callback(lambda each: value(self._decode(each)))
        return to_json(value)

    def _decode(self, value: Any) -> Any:
        return from_json(
            value, lambda each: Remote(self._node, {"$handle": each["$handle"]}, each["properties"])
        )


def js_class(node: Node, name: str) -> Remote:
    """A class that the SDK exports."""
    return Remote(node, name, {})


def _arrange(path: tuple[str, ...], arguments: tuple[Any, ...], options: dict[str, Any]) -> list[Any]:
    """Where this SDK wants each argument: the rest go into one object at the end."""
    positional = list(arguments)
    if path == ("list",) and positional:
        options = {**options, "query": positional.pop()}
    if path == ("pty", "create"):
        options = {**options, **asdict(positional.pop())}
    if path == ("files", "watchDir"):
        positional.append(options.pop("on_event"))
    if path == ("setTimeout",):
        positional[0] *= 1000
    return [*positional, options] if options else positional
