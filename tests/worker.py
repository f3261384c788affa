"""One worker of the control plane over wrapped adapters, which may die at any call."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from castari.adapters.queues import Queue
from castari.adapters.sandboxes import Sandboxes
from castari.adapters.sealing import Sealer
from castari.adapters.tables.invocation_batches import InvocationBatchesTable
from castari.adapters.tables.requests import RequestsTable
from castari.bootstrap import clients, results, stores, tables
from castari.bootstrap.settings import settings
from castari.models import Agent, Invocation
from castari.services.arrivals import Arrivals
from castari.services.attendance import Attendance
from castari.services.build_sandboxes import BuildSandboxes
from castari.services.builds import Builds
from castari.services.bundles import Bundles
from castari.services.callback_secrets import CallbackSecrets
from castari.services.callbacks import Callbacks
from castari.services.calls import Calls
from castari.services.cancels import Cancels
from castari.services.capacity import Capacity
from castari.services.checkouts import Checkouts
from castari.services.claims import Claims
from castari.services.completions import Completions
from castari.services.deletions import Deletions
from castari.services.deliveries import Deliveries
from castari.services.deploy_checks import DeployChecks
from castari.services.deploys import Deploys
from castari.services.environments import Environments
from castari.services.finishes import Finishes
from castari.services.handovers import Handovers
from castari.services.invocation_batches import InvocationBatches
from castari.services.invocations import Invocations
from castari.services.launches import Launches
from castari.services.leftovers import Leftovers
from castari.services.line import Line
from castari.services.removals import Removals
from castari.services.requests import Requests
from castari.services.requeues import Requeues
from castari.services.retention import Retention
from castari.services.rollbacks import Rollbacks
from castari.services.session_ends import SessionEnds
from castari.services.session_launches import SessionLaunches
from castari.services.session_pauses import SessionPauses
from castari.services.session_rests import SessionRests
from castari.services.sessions import Sessions
from castari.services.starts import Starts
from castari.services.sweep import Sweep
from castari.services.switches import Switches
from castari.services.warm import WarmPool

if TYPE_CHECKING:
    from tests.world import World

KEEP_SESSION = timedelta(hours=24)
SEALING_KEY = SecretStr("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
Wrap = Callable[[str, Any], Any]


class _CountingSandboxes:
    """A worker's way to the sandbox service: like the adapter, it tells of each end."""

    def __init__(self, sandboxes: Any, ended: Callable[[str], None]) -> None:
        self._sandboxes, self._ended = sandboxes, ended

    def __getattr__(self, method: str) -> Any:
        return getattr(self._sandboxes, method)

    async def kill(self, sandbox_id: str) -> bool:
        killed: bool = await self._sandboxes.kill(sandbox_id)
        self._ended(sandbox_id)
        return killed


class Worker:
    """Services over wrapped adapters; two workers share nothing but the world."""

    def __init__(self, world: "World", wrap: Wrap) -> None:
        self.agents = wrap("agents", tables.agents_table())
        self.table = wrap("invocations", tables.invocations_table())
        requests_table = RequestsTable(clients.dynamodb(), settings().invocations_table, world.clock)
        self.requests_table = wrap("requests", requests_table)
        self.batches_table = wrap("batches", InvocationBatchesTable(tables.invocations_table()))
        self.warm = wrap("warm", tables.warm_table())
        self.capacity_table = wrap("capacity", tables.capacity_table())
        self.line_table = wrap("line", tables.line_table())
        self.versions = wrap("versions", tables.versions_table())
        self.results = wrap("results", stores.result_bucket())
        self.bundles = wrap("bundles", stores.bundle_bucket())
        self.secrets = wrap("secrets", stores.secret_store())
        counting = _CountingSandboxes(wrap("sandboxes", world.sandboxes), self._sandbox_ended)
        self.sandboxes = cast("Sandboxes", counting)
        self.maintenance = cast("Queue", wrap("maintenance", world.maintenance))
        self.queue = cast("Queue", wrap("queue", world.invocations))
        self.callback_queue = cast("Queue", wrap("callback_queue", world.callbacks))
        self.callbacks_table = wrap("callbacks", results.callbacks().table)
        self.callback_secret_store = wrap("callback_secrets", stores.callback_secret_store())
        self.receivers = wrap("receivers", world.receivers)
        self.deploy_queue = cast("Queue", wrap("deploy_queue", world.deploys))
        self.logs = wrap("build_logs", tables.build_logs_table())
        self.deletions_table = wrap("deletions", tables.deletions_table())
        self.sessions_table = wrap("sessions", tables.sessions_table())
        self.holds = wrap("session_holds", tables.session_holds())
        self.sealer = Sealer(SEALING_KEY)
        self._clock, self._limits, self._world = world.clock, world.limits, world
        self._make_invocation_services()
        self._make_deploy_services()

    def _make_invocation_services(self) -> None:
        clock = self._clock
        environments = Environments(self.secrets, self.results, self._limits, SecretStr("platform-key"))
        self.requests = Requests(self.requests_table, self.table, self.queue)
        self.invocations = Invocations(
            self.table, self.results, self.queue, self.requests, self._limits, clock
        )
        self.batches = InvocationBatches(self.invocations, self.batches_table, self.requests, self.queue)
        self._make_line()
        self.requeues = Requeues(self.table, self.queue, self.holds, KEEP_SESSION, clock)
        self.callbacks = Callbacks(self.callbacks_table, self.callback_queue, clock)
        self.finishes = Finishes(
            self.table, self.results, self.requeues, self.holds, KEEP_SESSION, self.callbacks, clock
        )
        self.callback_secrets = CallbackSecrets(self.agents, self.callback_secret_store, clock)
        self.deliveries = Deliveries(
            self.table,
            self.agents,
            self.callbacks_table,
            self.callback_secrets,
            self.receivers,
            self._limits,
            clock,
        )
        self.sessions = Sessions(self.sessions_table, self.maintenance, clock)
        session_launches = SessionLaunches(
            self.table,
            self.holds,
            self.sessions_table,
            self.sandboxes,
            self.sealer,
            environments,
            KEEP_SESSION,
            5,
            clock,
        )
        self.launches = Launches(
            self.table,
            self.warm,
            self.sandboxes,
            self.sealer,
            environments,
            self.maintenance,
            self.line,
            session_launches,
            clock,
        )
        rests = SessionRests(self.maintenance, self._limits)
        self.attendance = Attendance(self.finishes, self.sandboxes.kill, rests)
        self.calls = Calls(
            self.launches,
            self.attendance,
            self.finishes,
            self.requests,
            self.line,
            self._world.soon_seconds,
        )
        self.starts = Starts(
            self.agents,
            self.table,
            self.launches,
            self.finishes,
            self.requeues,
            self.line,
            self.attendance,
        )
        self.completions = Completions(self.table, self.finishes, self.maintenance, rests)

    def _sandbox_ended(self, sandbox_id: str) -> None:
        self.capacity.ended(sandbox_id)

    def _make_line(self) -> None:
        world = self._world
        self.capacity = Capacity(
            self.capacity_table,
            self.queue,
            self.maintenance,
            world.creates_per_second,
            world.sandboxes_at_once,
            self._clock,
        )
        self.line = Line(
            self.line_table,
            self.capacity_table,
            self.table,
            self.capacity,
            self.queue,
            self._clock,
            world.pause,
        )

    def _make_deploy_services(self) -> None:
        clock, limits, world = self._clock, self._limits, self._world
        self.pool = WarmPool(
            self.agents,
            self.warm,
            self.sandboxes,
            self.sealer,
            Arrivals(self.table, clock),
            self.line,
            self.maintenance,
            limits,
            self._world.warm_size,
            clock,
        )
        self.switches = Switches(self.agents, self.versions, clock)
        building = BuildSandboxes(self.sandboxes, self.capacity, limits)
        self.builds = Builds(building, self.bundles, self.secrets, limits, "castari-base")
        self.checkouts = Checkouts(building, self.bundles, self.secrets, limits, "castari-base")
        self.claims = Claims(self.versions, self.maintenance, limits, clock)
        self.handovers = Handovers(
            self.versions, self.logs, self.switches, self.pool, self.maintenance, clock
        )
        self.deploys = Deploys(
            agents=self.agents,
            versions=self.versions,
            logs=self.logs,
            bundles=Bundles(self.bundles, limits),
            checkouts=self.checkouts,
            builds=self.builds,
            claims=self.claims,
            leftovers=Leftovers(self.sandboxes),
            switches=self.switches,
            handovers=self.handovers,
            base_template="castari-base",
            clock=clock,
        )
        self.rollbacks = Rollbacks(self.agents, self.versions, self.switches, self.maintenance)
        self.cancels = Cancels(self.table, self.finishes, self.maintenance)
        self.session_ends = SessionEnds(
            self.sessions_table, self.sandboxes, self.cancels, "nobody used it for 24 h", clock
        )
        self.sweep = Sweep(
            invocations=self.table,
            versions=self.versions,
            warm=self.warm,
            sandboxes=self.sandboxes,
            finishes=self.finishes,
            requeues=self.requeues,
            pool=self.pool,
            line=self.line,
            session_ends=self.session_ends,
            callbacks=self.callbacks,
            limits=limits,
            unforeseen=lambda invocation_id, error: world.unforeseen.append((invocation_id, error)),
            clock=clock,
        )
        self._make_removals()

    def _make_removals(self) -> None:
        self.deletions = Deletions(
            agents=self.agents,
            table=self.deletions_table,
            versions=self.versions,
            logs=self.logs,
            invocations=self.table,
            sandboxes=self.sandboxes,
            secrets=self.secrets,
            callback_secrets=self.callback_secret_store,
            bundles=self.bundles,
            results=self.results,
            pool=self.pool,
            cancels=self.cancels,
            session_ends=self.session_ends,
        )
        self.checks = DeployChecks(
            agents=self.agents,
            versions=self.versions,
            deploys=self.deploy_queue,
            claims=self.claims,
            switches=self.switches,
            handovers=self.handovers,
            clock=self._clock,
        )
        self.retention = Retention(
            agents=self.agents,
            versions=self.versions,
            logs=self.logs,
            sandboxes=self.sandboxes,
            bundles=self.bundles,
            pool=self.pool,
            keep=self._world.versions_kept,
            sessions=self.sessions_table,
        )
        self.session_pauses = SessionPauses(self.sessions_table, self.sandboxes, self._limits, self._clock)
        self.removals = Removals(
            self.agents,
            self.sandboxes,
            self.pool,
            self.deletions,
            self.checks,
            self.retention,
            self.session_pauses,
            self.session_ends,
            self.table,
            self.maintenance,
        )

    async def call(
        self,
        agent: Agent,
        prompt: str = "hi",
        *,
        seconds: float = 5,
        start_seconds: float | None = None,
        **more: Any,
    ) -> Invocation:
        """Invoke and wait."""
        draft = self.invocations.draft(agent, prompt, **more)
        return await self.calls.call(agent, draft, seconds, start_seconds=start_seconds)

    async def warm_up(self, agent: Agent) -> str:
        """Make one warm sandbox and return its id."""
        assert agent.active_version
        version = agent.active_version
        return (await self.pool.add(agent, version.version_id, version.snapshot_id)).sandbox_id
