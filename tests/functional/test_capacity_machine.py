"""Promises, creations, ends, listings and deaths in any order: the limit holds, the count is mended."""

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr

from castari.errors import CastariError, NoCapacity, VendorRateLimited, VendorUnanswered
from castari.models import CapacityState, SandboxAccess
from castari.services.capacity import Capacity
from tests.functional.conftest import empty
from tests.world import World

_MOST = 3
_ANSWERED = timedelta(seconds=30)
"""A worker waits no longer for a creation, and the service may carry it out as long again after that."""
_LISTED = timedelta(seconds=30)
"""A new sandbox may be missing from listings for so long."""


class _Answer:
    """Stands for the time until the service answers."""

    def __await__(self) -> Generator[None, str, str]:
        return (yield)


@dataclass
class _Maker:
    """A worker that makes a sandbox: it asks the service, which makes it or does not, heard or unheard."""

    promise: str
    asked_at: datetime | None = None
    made: str | None = None
    at_work: Coroutine[Any, Any, SandboxAccess] | None = None
    given_up: bool = False
    """It died or broke off after it had asked."""

    def step(self, do: Callable[[], object]) -> None:
        """Let the worker go on; its errors are its end."""
        try:
            do()
        except (StopIteration, CastariError):
            self.at_work = None


class _Machine(RuleBasedStateMachine):
    """The real count, over a service that makes, ends and lists sandboxes when a rule says so."""

    def __init__(self, world: World, capacity: Capacity) -> None:
        super().__init__()
        self.world, self.capacity = world, capacity
        self.clock = world.clock
        self.alive: dict[str, datetime] = {}
        self.calls: list[str] = []
        self.makers: list[_Maker] = []
        self.untold: list[str] = []
        self.round: tuple[CapacityState, set[str] | None] | None = None
        self.number = 0

    def _promise(self, *, turn: int | None = None) -> str | None:
        try:
            return self.capacity.take("run", turn=turn)
        except NoCapacity:
            return None

    @rule()
    def take(self) -> None:
        if promise := self._promise():
            self.makers.append(_Maker(promise))

    @rule()
    def call_up(self) -> None:
        if call := self._promise(turn=1):
            self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """A queue delivers at least once, and sometimes late."""
        promise = self.capacity.redeem(data.draw(st.sampled_from(self.calls)))
        if promise:
            self.makers.append(_Maker(promise))

    def _draw(self, data: st.DataObject, which: Callable[[_Maker], bool]) -> _Maker | None:
        found = [maker for maker in self.makers if which(maker)]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        if maker := self._draw(data, lambda maker: maker.asked_at is None):

            async def create() -> SandboxAccess:
                sandbox_id = await _Answer()
                return SandboxAccess(sandbox_id=sandbox_id, access_token=SecretStr(""), envd_version="1")

            maker.asked_at = self.clock()
            maker.at_work = work = self.capacity.make(maker.promise, create)
            maker.step(lambda: work.send(None))

    def _may_be_made(self, maker: _Maker) -> bool:
        if maker.asked_at is None or maker.made or not (maker.at_work or maker.given_up):
            return False
        return self.clock() - maker.asked_at <= 2 * _ANSWERED

    @rule(data=st.data())
    def carry_out(self, data: st.DataObject) -> None:
        if maker := self._draw(data, self._may_be_made):
            self.number += 1
            maker.made = f"sandbox{self.number}"
            self.alive[maker.made] = self.clock()

    @rule(data=st.data(), how=st.sampled_from(["answer", "refuse", "break off", "die"]))
    def end_creation(self, data: st.DataObject, how: str) -> None:
        maker = self._draw(data, lambda maker: maker.at_work is not None)
        if not maker or not maker.at_work or not maker.asked_at:
            return
        work, in_time = maker.at_work, self.clock() - maker.asked_at <= _ANSWERED
        if how == "answer" and maker.made and in_time:
            maker.step(lambda: work.send(maker.made))
        elif how == "refuse" and not maker.made and in_time:
            maker.step(lambda: work.throw(VendorRateLimited("no")))
        elif how == "break off":
            maker.given_up = True
            maker.step(lambda: work.throw(VendorUnanswered("reset")))
        elif how == "die":
            maker.given_up = True
            work.close()
            maker.at_work = None

    @rule(data=st.data(), told=st.booleans())
    def end(self, data: st.DataObject, *, told: bool) -> None:
        """A sandbox is killed, which is told later or twice, or ends by itself."""
        if self.alive:
            sandbox_id = data.draw(st.sampled_from(sorted(self.alive)))
            del self.alive[sandbox_id]
            if told:
                self.untold.append(sandbox_id)

    @precondition(lambda self: self.untold)
    @rule(data=st.data())
    def tell_of_an_end(self, data: st.DataObject) -> None:
        self.capacity.give_back(data.draw(st.sampled_from(self.untold)))

    @rule()
    def sweep_on(self) -> None:
        """Do the next third of a round: read, list, correct."""
        match self.round:
            case None:
                self.round = self.capacity.now(), None
            case before, None:
                shown = {each for each, at in self.alive.items() if not self._is_hidden(each, at)}
                self.round = before, shown
            case before, listed:
                self.capacity.reconcile(before, listed)
                self.round = None

    def _is_hidden(self, sandbox_id: str, made_at: datetime) -> bool:
        """Tell whether a listing lags behind; it does so for every second one."""
        return self.clock() - made_at < _LISTED and sandbox_id[-1] in "02468"

    @rule(seconds=st.integers(1, 70))
    def wait(self, seconds: int) -> None:
        self.clock.pass_(seconds=seconds)

    @invariant()
    def there_are_no_more_than_the_plan_allows(self) -> None:
        assert len(self.alive) <= _MOST

    def teardown(self) -> None:
        """Nobody goes on: after the promises' time and two rounds the count is what there is."""
        for _ in range(4):
            self.clock.pass_(seconds=60)
            before = self.capacity.now()
            self.capacity.reconcile(before, set(self.alive))
        assert self.capacity.now().alive == len(self.alive)
        for maker in self.makers:
            if maker.at_work:
                maker.at_work.close()


def test_in_any_order_the_limit_holds_and_the_count_is_mended(world: World, stack: dict[str, str]) -> None:
    world.sandboxes_at_once = _MOST

    def machine() -> _Machine:
        empty(stack)
        return _Machine(world, world.worker().capacity)

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # it calls whatever makes one
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
