"""A worker that dies before or after any call to the outside, for tests of what others make of that."""

import inspect
from collections.abc import Callable
from typing import Any

SIDES = ("before", "after")
_PURE = frozenset({"prompt_url", "put_url", "removal", "sandbox_get_url", "sandbox_put_url"})
"""Methods that only compute: nothing outside can tell whether they were called."""


class Died(BaseException):
    """The worker's process is gone: no handler of ours may catch it, and nothing it does counts any more."""


class Mortal:
    """A worker's way to the outside, cut at the `at`th call."""

    def __init__(self, at: int | None = None, side: str = "before") -> None:
        self.at, self.side = at, side
        self.calls: list[str] = []
        self.dead = False

    def wrap(self, name: str, adapter: Any) -> Any:
        return _Watched(self, name, adapter)

    def before(self, call: str) -> bool:
        """Note a call; tell whether the worker dies right after it."""
        if self.dead:
            raise Died
        self.calls.append(call)
        here = len(self.calls) - 1 == self.at
        if here and self.side == "before":
            self.die()
        return here

    def die(self) -> None:
        self.dead = True
        raise Died


class _Watched:
    def __init__(self, mortal: Mortal, name: str, adapter: Any) -> None:
        self._mortal, self._name, self._adapter = mortal, name, adapter

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._adapter, method)
        if not callable(found) or method in _PURE:
            return found
        call = f"{self._name}.{method}"
        if inspect.iscoroutinefunction(found):
            return self._asynchronous(call, found)
        return self._synchronous(call, found)

    def _asynchronous(self, call: str, found: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **kwargs: Any) -> Any:
            dies = self._mortal.before(call)
            try:
                return await found(*args, **kwargs)
            finally:
                if dies:
                    self._mortal.die()

        return called

    def _synchronous(self, call: str, found: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            dies = self._mortal.before(call)
            try:
                return found(*args, **kwargs)
            finally:
                if dies:
                    self._mortal.die()

        return called
