"""Each function's role allows what its services do: every call to AWS is watched while they do it.

A role that allows less fails only on AWS and on the running stack, in whatever the tests there do not do.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import pytest

from castari.bootstrap import clients
from tests.cloudformation import load_template
from tests.functional import test_deploy_crashes, test_gone_meanwhile, test_session_crashes
from tests.functional.plots import PLOTS, survives_plot
from tests.mortal import Mortal
from tests.world import World

pytestmark = pytest.mark.usefixtures("empty_tables")
_RESOURCES: dict[str, dict[str, Any]] = load_template()["Resources"]
_VARIABLES: dict[str, Any] = load_template()["Globals"]["Function"]["Environment"]["Variables"]
_WATCHED: ContextVar[bool] = ContextVar("watched", default=False)
_IN_TRANSACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"}
_IN_TRANSACTIONS |= {"ConditionCheck": "ConditionCheckItem"}
_NAMED_OTHERWISE = {"s3:ListObjectsV2": "s3:ListBucket", "s3:HeadObject": "s3:GetObject"}
Need = tuple[str, str]
"""An action, and the table or index that it is for; the resources of other services are not looked at."""


class Watcher(Mortal):
    """A worker that never dies, and what its adapters ask of AWS."""

    def __init__(self, stack: dict[str, str]) -> None:
        super().__init__()
        self.needs: set[Need] = set()
        names = {name: value["Ref"] for name, value in _VARIABLES.items() if name.endswith("_TABLE")}
        self._tables = {stack[variable]: resource for variable, resource in names.items()}

    def wrap(self, name: str, adapter: Any) -> Any:
        return _Watched(super().wrap(name, adapter))

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Take in a call to AWS before it is made."""
        if _WATCHED.get():
            service = model.service_model.service_name
            self.needs |= set(self._needs(service, model.name, params))

    def _needs(self, service: str, operation: str, params: dict[str, Any]) -> Iterator[Need]:
        match operation:
            case "TransactWriteItems":
                for write in params["TransactItems"]:
                    ((kind, parts),) = write.items()
                    yield f"dynamodb:{_IN_TRANSACTIONS[kind]}", self._tables[parts["TableName"]]
            case "BatchWriteItem":
                for table in params["RequestItems"]:
                    yield f"dynamodb:{operation}", self._tables[table]
            case _ if service == "dynamodb":
                index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
                yield f"dynamodb:{operation}", self._tables[params["TableName"]] + index
            case _:
                action = f"{service}:{operation}"
                yield _NAMED_OTHERWISE.get(action, action), ""


class _Watched:
    """An adapter while it is called by the worker that is looked at, and not by those around it."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._adapter, attribute)
        if not callable(found) or inspect.isasyncgenfunction(found) or inspect.iscoroutinefunction(found):
            return found  # They reach the sandbox service, not AWS.

        def called(*args: Any, **kwargs: Any) -> Any:
            before = _WATCHED.set(True)
            try:
                result = found(*args, **kwargs)
                return iter(list(result)) if inspect.isgenerator(result) else result
            finally:
                _WATCHED.reset(before)

        return called


@contextmanager
def watching(stack: dict[str, str]) -> Iterator[Watcher]:
    watcher = Watcher(stack)
    events = [each.meta.events for each in (clients.dynamodb(), clients.s3(), clients.secrets_manager())]
    for each in events:
        each.register("before-parameter-build", watcher.note)
    try:
        yield watcher
    finally:
        for each in events:
            each.unregister("before-parameter-build", watcher.note)


def allowed(function: str) -> list[Need]:
    """Return what a function's role allows, resources by their name in the template."""
    found: list[Need] = []
    for policy in _RESOURCES[f"{function}Role"]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            actions, resources = (
                each if isinstance(each, list) else [each]
                for each in (statement["Action"], statement["Resource"])
            )
            found += [(action, _name(resource)) for action in actions for resource in resources]
    return found


def _name(resource: Any) -> str:
    """Return `Table` or `Table/index/name` of what names either's ARN."""
    text = next(iter(resource.values())) if isinstance(resource, dict) else resource
    return str(text).removesuffix(".Arn").replace("${", "", 1).replace(".Arn}", "", 1)


def missing(function: str, needs: set[Need]) -> set[Need]:
    """Return what a function's services need and its role does not allow."""
    held = allowed(function)

    def is_held(need: Need) -> bool:
        action, resource = need
        return any(a == action and (not resource or fnmatchcase(resource, r)) for a, r in held)

    return {need for need in needs if not is_held(need)}


_OF_PLOTS = {"submit": "Api", "cancel": "Api", "call": "Invoke", "complete": "Complete", "notify": "Notify"}
_OF_PLOTS |= dict.fromkeys(("start", "wait in line", "serve the line", "called up"), "Start")
_OF_DEEDS = {"first": "Invoke", "again": "Invoke", "start": "Start", "put back": "Start"}
_OF_DEEDS |= {"complete": "Complete"}
Act = Callable[[World, Watcher], Awaitable[object]]


def _acts() -> dict[str, tuple[str, Act]]:
    """Return everything that a function's worker does in the tests of crashes, with the function's name."""
    acts: dict[str, tuple[str, Act]] = {}
    for name, plot in PLOTS.items():
        act = partial(_plot, name=name, warm=plot.warm[0], runner_lives=plot.runner_lives[0])
        acts[name] = (next((of for start, of in _OF_PLOTS.items() if name.startswith(start)), "Sweep"), act)
    for name, deed in test_session_crashes.DEEDS.items():
        acts[f"session: {name}"] = (_OF_DEEDS.get(name, "Sweep"), partial(_deed, deed=deed))
    for kind in test_gone_meanwhile.MESSAGES:
        acts[f"message: {kind}"] = ("Start" if kind == "start" else "Sweep", partial(_message, kind=kind))
    for redeploy in (False, True):
        name = "redeploy" if redeploy else "deploy"
        acts[name] = ("Deploy", partial(test_deploy_crashes.tell_of_a_deploy, redeploy=redeploy))
    return acts


async def _plot(world: World, watcher: Watcher, *, name: str, warm: bool, runner_lives: bool) -> None:
    await survives_plot(world, name, watcher, warm=warm, runner_lives=runner_lives)


async def _deed(world: World, watcher: Watcher, *, deed: test_session_crashes.Deed) -> None:
    await test_session_crashes.survives(world, deed, watcher)


async def _message(world: World, watcher: Watcher, *, kind: str) -> None:
    house = await test_gone_meanwhile.settle_in(world)
    message = test_gone_meanwhile.MESSAGES[kind](house)
    await test_gone_meanwhile.carry_out(world.worker(watcher.wrap), message)


ACTS = _acts()


@pytest.mark.parametrize("name", ACTS)
async def test_a_role_allows_what_its_function_does(name: str, world: World, stack: dict[str, str]) -> None:
    function, act = ACTS[name]
    with watching(stack) as watcher:
        await act(world, watcher)
    assert watcher.calls
    assert missing(function, watcher.needs) == set()


def test_what_a_role_does_not_allow_is_seen() -> None:
    assert missing("Complete", {("dynamodb:PutItem", "AgentsTable")})
    assert missing("Api", {("dynamodb:Query", "InvocationsTable/index/nobody")})
    assert missing("Api", {("secretsmanager:GetSecretValue", "")})
