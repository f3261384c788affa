"""Other settings for the running stack's functions, until a test is over."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from bench.stack import Stack

_EVERY = ("Api", "Invoke", "Attend", "Start", "Complete", "Deploy", "Sweep", "Notify")


@contextmanager
def changed(stack: Stack, settings: Mapping[str, str], functions: tuple[str, ...] = _EVERY) -> Iterator[None]:
    """Let functions have these variables in their environment within the block."""
    with ExitStack() as changes:
        for noun in functions:
            changes.enter_context(_changed(stack, noun, settings))
        yield


@contextmanager
def _changed(stack: Stack, noun: str, settings: Mapping[str, str]) -> Iterator[None]:
    function = stack.function(noun)
    name, variables = function["FunctionName"], function["Environment"]["Variables"]
    try:
        _set(stack, name, variables | dict(settings))
        yield
    finally:
        _set(stack, name, variables)


def _set(stack: Stack, name: str, variables: Mapping[str, str]) -> None:
    stack.functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": dict(variables)}
    )
    stack.functions.get_waiter("function_updated_v2").wait(FunctionName=name)
