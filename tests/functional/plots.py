"""What a worker may be at when it dies: each a deed, and what the world is like meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from castari.adapters.callbacks import CallbackAnswer
from castari.bootstrap import tables
from castari.errors import CastariError, SandboxLost
from castari.messages import (
    DestroySandbox,
    GiveWay,
    Message,
)
from castari.models import Agent, Invocation
from castari.services.requests import batch_keys, request_key
from tests.functional import wishes
from tests.functional.test_deploy_crashes import LOCKED
from tests.mortal import Died, Mortal, Slow, in_a_thread
from tests.unit.bundles import tar_gz
from tests.weather import Weather
from tests.worker import Worker
from tests.world import World, unique

RECEIVER = "https://receiver.example/results"
LONG = "long " * 20_000
PROMPTS = ["one", "two", "three"]


class Story:
    """One agent with one warm sandbox or none, and what happened to it before."""

    def __init__(self, world: World, agent: Agent) -> None:
        self.world, self.agent = world, agent

    def queued(self, prompt: str = "later") -> Invocation:
        return self.world.worker().invocations.submit(self.agent, prompt)

    async def deployed(self, files: dict[str, str]) -> None:
        worker, agent = self.world.worker(), self.agent
        key = f"bundles/{agent.user_id}/{agent.slug}/{unique()}.tar.gz"
        worker.bundles.put(key, tar_gz(files), content_type="application/gzip")
        result = await worker.deploys.deploy(self.world.request(agent, key))
        assert result.startswith("active"), result
        self.world.maintenance.messages.clear()
        self.agent = worker.agents.get(agent.user_id, agent.slug)

    async def started(self) -> Invocation:
        queued = self.queued()
        await self.world.worker().starts.start(queued.invocation_id)
        return tables.invocations_table().get(queued.invocation_id)


async def _call(worker: Worker, story: Story) -> None:
    await worker.call(story.agent)


async def _call_for_long(worker: Worker, story: Story) -> None:
    """Have the successor asked for while the agent runs."""

    async def rounds_of_the_loop() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    story.world.runner.waits = rounds_of_the_loop
    try:
        await worker.call(story.agent)
    finally:
        story.world.runner.waits = None


async def _call_read_ahead(worker: Worker, story: Story) -> None:
    """Go by offers of a moment ago: of one that was taken since, and of one whose sandbox is gone."""
    bystander = story.world.worker()
    await bystander.warm_up(story.agent)
    await bystander.warm_up(story.agent)
    assert story.agent.active_version
    offers = worker.warm.list(story.agent.active_version.version_id, limit=3)
    taken, gone, _ = offers
    await bystander.pool.remove(taken)
    del story.world.sandboxes.alive[gone.sandbox_id]
    draft = worker.invocations.draft(story.agent, "hi")
    await worker.calls.call(story.agent, draft, 5, offers=lambda _: offers)


async def _call_with_a_key(worker: Worker, story: Story) -> None:
    await worker.call(story.agent, LONG, request=request_key(story.agent, unique(), {}))


async def _submit(worker: Worker, story: Story) -> None:
    worker.invocations.submit(story.agent, LONG, request=request_key(story.agent, unique(), {}))


async def _submit_many(worker: Worker, story: Story) -> None:
    worker.batches.submit(story.agent, PROMPTS)


async def _submit_many_with_a_key(worker: Worker, story: Story) -> None:
    keys = batch_keys(story.agent, unique(), {}, len(PROMPTS))
    worker.batches.submit(story.agent, PROMPTS, requests=keys)


async def _cancel(worker: Worker, story: Story) -> None:
    running = await story.started()
    worker.cancels.cancel(story.agent, running.invocation_id)


async def _delete(worker: Worker, story: Story) -> None:
    await story.deployed(LOCKED)
    running, agent = await story.started(), story.agent
    story.world.worker().agents.delete(agent)
    assert running.status == "running"
    await worker.removals.carry_out(wishes.delete(agent, story.world.clock()))


async def _tidy(worker: Worker, story: Story) -> None:
    for number in range(2):
        await story.deployed(LOCKED | {"src/index.ts": f"version {number}"})
    await story.world.worker().pool.drain("none")
    await worker.removals.carry_out(wishes.tidy(story.agent))


async def _start(worker: Worker, story: Story) -> None:
    await worker.starts.start(story.queued().invocation_id)


async def _start_unheard(worker: Worker, story: Story) -> None:
    story.world.sandboxes.unanswered = 1
    await _start(worker, story)


async def _start_that_never_comes(worker: Worker, story: Story) -> None:
    story.world.sandboxes.failures["start"] = [SandboxLost("no answer")]
    await _start(worker, story)


async def _complete(worker: Worker, story: Story) -> None:
    running = await story.started()
    story.world.runner.store(story.world.runner.report(story.world.sandboxes.started[-1]))
    worker.completions.complete(running.invocation_id, running.attempt)


async def _sweep(worker: Worker, story: Story) -> None:
    """Everything that a round may find: overdue, forgotten, dead, too old."""
    world, bystander = story.world, story.world.worker()
    await story.started()
    story.queued()
    claimed = Mortal()
    waiting = story.queued()
    with suppress(Died):
        claimed.at = 4
        await world.worker(claimed.wrap).starts.start(waiting.invocation_id)
    dead = await bystander.warm_up(story.agent)
    await bystander.warm_up(story.agent)
    del world.sandboxes.alive[dead]
    for kind, fields in {
        "run": {"invocation_id": waiting.invocation_id, "attempt": "0"},
        "build": {"version_id": "ver_gone", "attempt": "1"},
        "warm": {"version_id": "ver_gone"},
    }.items():
        await world.sandboxes.create(
            "castari-base",
            timeout_seconds=3600,
            metadata={"kind": kind, "agent_id": story.agent.agent_id, **fields},
            idempotency_key=unique(),
        )
    world.clock.pass_(seconds=world.limits.warm_idle_seconds + 31)
    await worker.sweep.sweep()


async def _full(story: Story) -> list[str | None]:
    """Let as many sandboxes be promised as the plan allows, none of them made, and somebody wait."""
    bystander = story.world.worker()
    promises = [bystander.capacity.take("build") for _ in range(story.world.sandboxes_at_once)]
    await bystander.starts.start(story.queued().invocation_id)
    await bystander.starts.start(story.queued().invocation_id)
    return promises


async def _wait_in_line(worker: Worker, story: Story) -> None:
    await _full(story)
    await worker.starts.start(story.queued().invocation_id)


async def _call_when_full(worker: Worker, story: Story) -> None:
    await _full(story)
    await worker.call(story.agent)


async def _serve(worker: Worker, story: Story) -> None:
    promises = await _full(story)
    bystander, cancelled = story.world.worker(), story.queued()
    await bystander.starts.start(cancelled.invocation_id)
    bystander.cancels.cancel(story.agent, cancelled.invocation_id)
    for promise in promises:
        bystander.capacity.give_back(promise)
    story.world.invocations.messages.clear()
    await worker.line.serve()


async def _called_up(worker: Worker, story: Story) -> None:
    promises = await _full(story)
    bystander = story.world.worker()
    for promise in promises:
        bystander.capacity.give_back(promise)
    story.world.invocations.messages.clear()
    await bystander.line.serve()
    for message, _ in list(story.world.invocations.messages):
        await worker.starts.carry_out(message)  # type: ignore[arg-type]


async def _sweep_a_line(worker: Worker, story: Story) -> None:
    await _full(story)
    story.world.invocations.messages.clear()
    await worker.sweep.sweep()


async def _sweep_a_miscount(worker: Worker, story: Story) -> None:
    """Find one that is counted and gone, for the second time, and one that is there and not counted."""
    await story.started()
    world, bystander = story.world, story.world.worker()
    gone = await bystander.warm_up(story.agent)
    del world.sandboxes.alive[gone]
    # A round that comes sooner after another than listings may lag decides nothing.
    world.clock.pass_(seconds=31)
    await bystander.sweep.sweep()
    world.clock.pass_(seconds=31)
    metadata = {"kind": "warm", "agent_id": story.agent.agent_id, "version_id": "ver_gone"}
    await world.sandboxes.create(
        "castari-base", timeout_seconds=3600, metadata=metadata, idempotency_key=unique()
    )
    await worker.sweep.sweep()


async def _finished(story: Story) -> Invocation:
    """Let an invocation end whose callback is announced."""
    running = await story.started()
    story.world.runner.store(story.world.runner.report(story.world.sandboxes.started[-1]))
    story.world.worker().completions.complete(running.invocation_id, running.attempt)
    return running


async def _notify(worker: Worker, story: Story) -> None:
    finished = await _finished(story)
    story.world.receivers.answers = [CallbackAnswer(503)]
    for _ in range(2):
        await worker.deliveries.deliver(finished.invocation_id)
        story.world.clock.pass_(seconds=2)


async def _sweep_a_callback(worker: Worker, story: Story) -> None:
    await _finished(story)
    story.world.callbacks.messages.clear()
    story.world.clock.pass_(minutes=11)
    await worker.sweep.sweep()


def _give_way(_story: Story, _running: Invocation) -> Message:
    return GiveWay()


def _maintenance(make: Callable[[Story, Invocation], Message]) -> "Deed":
    async def carry_out(worker: Worker, story: Story) -> None:
        running = await story.started()
        if story.world.sandboxes_at_once:
            await story.world.worker().warm_up(story.world.agent())
            await _full(story)
        await worker.removals.carry_out(make(story, running))  # type: ignore[arg-type]

    return carry_out


def _refill(story: Story, _running: Invocation) -> Message:
    return wishes.refill(story.agent)


async def _refill_what_is_lost(worker: Worker, story: Story) -> None:
    lost = await story.world.worker().warm_up(story.agent)
    del story.world.sandboxes.alive[lost]
    story.world.clock.pass_(seconds=31)
    await worker.removals.carry_out(wishes.refill(story.agent))


def _destroy(_story: Story, running: Invocation) -> Message:
    return DestroySandbox(sandbox_id=str(running.sandbox_id))


def _destroy_once_over(_story: Story, running: Invocation) -> Message:
    return wishes.destroy(running)


def _replace_too_early(story: Story, running: Invocation) -> Message:
    return wishes.replace(story.agent, running)


async def _replace(worker: Worker, story: Story) -> None:
    await worker.removals.carry_out(wishes.replace(story.agent, await _finished(story)))


def _stop(story: Story, _running: Invocation) -> Message:
    return wishes.stop(story.world.worker().agents.update(story.agent, {"status": "stopped"}))


Deed = Callable[[Worker, Story], Awaitable[None]]


@dataclass(frozen=True)
class Plot:
    """What a worker does, and what the world is like meanwhile."""

    deed: Deed
    warm: tuple[bool, ...] = (True, False)
    runner_lives: tuple[bool, ...] = (True, False)
    keeps_rows: bool = True
    creates_per_second: int = 0
    sandboxes_at_once: int = 0
    callback_url: str | None = None
    soon_seconds: float = 60
    versions_kept: int = 10

    def begin(self, world: World) -> None:
        """Set the plan of the sandbox service, with nothing counted but what there is."""
        world.creates_per_second, world.sandboxes_at_once = self.creates_per_second, self.sandboxes_at_once
        world.pause, world.soon_seconds = world.clock.sleep, self.soon_seconds
        world.versions_kept = self.versions_kept
        if self.sandboxes_at_once:
            capacity = world.worker().capacity
            capacity.reconcile(capacity.now(), world.sandboxes.alive.keys())


PLOTS = {
    "call": Plot(_call),
    "call for long": Plot(_call_for_long, warm=(True,), soon_seconds=0),
    "call read ahead": Plot(_call_read_ahead, warm=(True,)),
    "call with a key": Plot(_call_with_a_key, runner_lives=(True,)),
    "submit": Plot(_submit, warm=(False,), runner_lives=(True,)),
    "submit many": Plot(_submit_many, warm=(False,), runner_lives=(True,)),
    "submit many with a key": Plot(_submit_many_with_a_key, warm=(False,), runner_lives=(True,)),
    "cancel": Plot(_cancel, warm=(True,), runner_lives=(True,)),
    "start": Plot(_start, runner_lives=(True,)),
    "start unheard": Plot(_start_unheard, runner_lives=(True,)),
    "start that never comes": Plot(_start_that_never_comes, runner_lives=(True,)),
    "complete": Plot(_complete, warm=(True,), runner_lives=(True,)),
    "sweep": Plot(_sweep, warm=(True,), runner_lives=(False,)),
    "call with a callback": Plot(_call, (True,), (True,), callback_url=RECEIVER),
    "complete with a callback": Plot(_complete, (True,), (True,), callback_url=RECEIVER),
    "notify": Plot(_notify, (True,), (True,), callback_url=RECEIVER),
    "sweep a callback": Plot(_sweep_a_callback, (True,), (True,), callback_url=RECEIVER),
    "refill": Plot(_maintenance(_refill), warm=(True,), runner_lives=(True,)),
    "refill what is lost": Plot(_refill_what_is_lost, warm=(False,), runner_lives=(True,)),
    "destroy": Plot(_maintenance(_destroy), warm=(True,), runner_lives=(True,)),
    "destroy once over": Plot(_maintenance(_destroy_once_over), warm=(True,), runner_lives=(True,)),
    "replace": Plot(_replace, warm=(True,), runner_lives=(True,)),
    "replace too early": Plot(_maintenance(_replace_too_early), warm=(True,), runner_lives=(True,)),
    "wait in line": Plot(_wait_in_line, (False,), (True,), sandboxes_at_once=2),
    "call when full": Plot(_call_when_full, (False,), (True,), sandboxes_at_once=2),
    "serve the line": Plot(_serve, (False,), (True,), creates_per_second=1, sandboxes_at_once=4),
    "called up": Plot(_called_up, (False,), (True,), sandboxes_at_once=4),
    "sweep a line": Plot(_sweep_a_line, (False,), (True,), sandboxes_at_once=2),
    "sweep a miscount": Plot(_sweep_a_miscount, (False,), (True,), sandboxes_at_once=4),
    "give way": Plot(_maintenance(_give_way), (False,), (True,), sandboxes_at_once=4),
    "refill when full": Plot(_maintenance(_refill), (False,), (True,), sandboxes_at_once=4),
    "stop": Plot(_maintenance(_stop), warm=(True,), runner_lives=(False,)),
    "delete": Plot(_delete, warm=(True,), runner_lives=(True,), keeps_rows=False),
    "tidy": Plot(_tidy, warm=(True,), runner_lives=(True,), versions_kept=1),
}
CASES = [
    (name, warm, lives) for name, plot in PLOTS.items() for warm in plot.warm for lives in plot.runner_lives
]


async def survives_plot(world: World, name: str, mortal: Mortal, *, warm: bool, runner_lives: bool) -> None:
    """Act a plot with a worker that may die, and hold what must hold once everything was seen to."""
    world.sandboxes.started.clear()
    world.runner.stored.clear()
    world.maintenance.messages.clear()
    world.invocations.messages.clear()
    world.runner.stores = world.runner.prints = runner_lives
    world.callbacks.messages.clear()
    world.receivers.received.clear()
    PLOTS[name].begin(world)
    story = Story(world, world.agent(callback_url=PLOTS[name].callback_url))
    if story.agent.callback_url:
        world.worker().callback_secrets.make(story.agent.user_id, story.agent.slug)
        story.agent = world.worker().agents.get(story.agent.user_id, story.agent.slug)
    if warm:
        await world.worker().warm_up(story.agent)
    order = Random(f"{mortal.at} {mortal.side}")  # noqa: S311 - shuffles deliveries, guards nothing
    weather = Weather(world, story.agent, runner_lives, order)
    if isinstance(mortal, Slow):
        mortal.meanwhile = lambda: in_a_thread(weather.pass_)
    try:
        with suppress(Died, CastariError):
            await PLOTS[name].deed(world.worker(mortal.wrap), story)
        await weather.pass_()
        weather.verdict(keeps_rows=PLOTS[name].keeps_rows)
    except AssertionError as error:
        raise AssertionError(
            f"{name}, died {mortal.side} {mortal.at} after {mortal.calls}: {error}"
        ) from error
