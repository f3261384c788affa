"""A worker that dies before or after any call to the outside, for tests of what others make of that.

Whatever an adapter offers is a call to the outside: a method that is added tomorrow is one, too.
"""

import asyncio
import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from castari import adapters

SIDES = ("before", "after")
_PURE = frozenset(
    {
        # They only compute: nothing outside can tell whether they were called.
        "BundleBucket.sandbox_get_url",
        "BundleBucket.sandbox_put_url",
        "BundleBucket.upload_url",
        "InvocationsTable.creation",
        "InvocationsTable.ending",
        "InvocationsTable.first_item",
        "InvocationsTable.first_write",
        "InvocationsTable.update",
        "ResultBucket.prompt_url",
        "ResultBucket.put_url",
        "RunningCommand.feed",
        "RunningCommand.follow",
        "Sealer.open",
        "Sealer.seal",
        "SessionsTable.creation",
        "SessionsTable.release",
        "SessionsTable.update",
        "UsageTable.increment",
        "VersionsTable.having",
        "WarmTable.removal",
    }
)


def outside_methods() -> set[str]:
    """Return every method that an adapter offers and that reaches outside, as `Class.method`.

    A private class is part of one that is offered.
    """
    found = set()
    for module in pkgutil.walk_packages(adapters.__path__, f"{adapters.__name__}."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(kind) and kind.__module__ == module.name and not name.startswith("_"):
                found |= {f"{name}.{method}" for method in _public_methods(kind)}
    return found - _PURE


def _public_methods(kind: type) -> list[str]:
    if issubclass(kind, BaseException):
        return []
    fields = getattr(kind, "__dataclass_fields__", {})
    methods = {name for name, found in vars(kind).items() if inspect.isfunction(found)} - set(fields)
    return [name for name in methods if not name.startswith("_")]


class Died(BaseException):
    """The worker's process is gone: no handler of ours may catch it, and nothing it does counts any more."""


Point = tuple[str, int]
"""The nth call of its name, from 0: the order of different calls at the same time is nobody's to say."""


class Mortal:
    """A worker's way to the outside, cut at one call: the `at`th of all, or a `Point`."""

    def __init__(self, at: int | Point | None = None, side: str = "before") -> None:
        self.at, self.side = at, side
        self.calls: list[str] = []
        """What was called, by the adapter's place in the worker."""
        self.methods: list[str] = []
        """The same, as `Class.method`."""
        self.dead = False

    def wrap(self, name: str, adapter: Any) -> Any:
        return _Watched(self, name, adapter)

    def before(self, call: str, method: str) -> bool:
        """Note a call; tell whether the worker dies right after it."""
        if self.dead:
            raise Died
        self.calls.append(call)
        self.methods.append(method)
        here = self.at in (len(self.calls) - 1, (call, self.calls.count(call) - 1))
        if here and self.side == "before":
            self.die()
        return here and self.side == "after"

    @property
    def points(self) -> list[Point]:
        """Return where it could have died."""
        return [(call, self.calls[:index].count(call)) for index, call in enumerate(self.calls)]

    def die(self) -> None:
        self.dead = True
        raise Died


class Slow(Mortal):
    """A worker that is as good as dead at one call, but goes on when everything else has long happened."""

    def __init__(self, at: Point, meanwhile: Callable[[], None]) -> None:
        super().__init__(at)
        self.meanwhile = meanwhile

    def die(self) -> None:
        self.at = None
        self.meanwhile()


def in_a_thread(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do it all while whoever calls stands still, in the midst of whatever loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work()).result()


class _Watched:
    """An adapter, or a fake of one, with each of its methods watched."""

    def __init__(self, mortal: Mortal, name: str, adapter: Any) -> None:
        self._mortal, self._name, self._adapter = mortal, name, adapter
        self._kind = type(adapter).__name__.removeprefix("Fake")

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._adapter, attribute)
        method = f"{self._kind}.{attribute}"
        if not inspect.ismethod(found) or method in _PURE:
            return found

        def note() -> bool:
            return self._mortal.before(f"{self._name}.{attribute}", method)

        if inspect.isasyncgenfunction(found):
            return self._asynchronous_items(note, found)
        if inspect.iscoroutinefunction(found):
            return self._asynchronous(note, found)
        return self._synchronous(note, found)

    def _asynchronous(self, note: Callable[[], bool], found: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            dies = note()
            try:
                return self._watched(await found(*args, **kwargs))
            finally:
                if dies:
                    self._mortal.die()

        return called

    def _synchronous(self, note: Callable[[], bool], found: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            dies = note()
            try:
                result = found(*args, **kwargs)
            except BaseException:
                if dies:
                    self._mortal.die()
                raise
            if inspect.isgenerator(result):
                return self._items(result, dies=dies)
            if dies:
                self._mortal.die()
            return result

        return called

    def _items(self, items: Iterator[Any], *, dies: bool) -> Iterator[Any]:
        """Die once the first page is there: a caller may want no more."""
        for item in items:
            if dies:
                self._mortal.die()
            yield item
        if dies:
            self._mortal.die()

    def _asynchronous_items(
        self, note: Callable[[], bool], found: Callable[..., Any]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def called(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            dies = note()
            async for item in found(*args, **kwargs):
                if dies:
                    self._mortal.die()
                yield item
            if dies:
                self._mortal.die()

        return called

    def _watched(self, result: Any) -> Any:
        """Watch a running command, too: it is an adapter that another one makes."""
        return _Watched(self._mortal, "command", result) if hasattr(result, "let_go") else result
