"""Makes a sandbox out of a request: its specification, its daemon's environment, its token."""

from datetime import UTC, datetime

from local.sandboxes.engine import Engine, EngineError, EngineSandbox, SandboxSpec
from local.sandboxes.processes.service import Processes
from local.sandboxes.server.access import new_id, new_token
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.history import History
from local.sandboxes.server.journal import Journal
from local.sandboxes.server.network_policy import policy_of
from local.sandboxes.server.runtime import DEFAULT_USER, Runtime
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.schemas import NewSandbox
from local.sandboxes.server.start_command import CREATE_SECONDS, NotReadyError, bring_up
from local.sandboxes.server.templates import Template
from local.sandboxes.server.upstream import Upstream


async def make_sandbox(engine: Engine, request: NewSandbox, template: Template) -> Sandbox:
    """Make a sandbox with no time to live yet. Raises `ApiError` if the engine can not."""
    policy = policy_of(request.network, allow_internet=request.allow_internet_access is not False)
    spec = SandboxSpec(new_id(), template.layers, template.limits, template.privileges, policy)
    guest, upstream = await start_guest(engine, spec, template.runtime, request.env_vars)
    now = datetime.now(UTC)
    journal, history = Journal(spec.sandbox_id), History(guest, now)
    follow(guest, journal)
    return Sandbox(request, template, new_token(), guest, upstream, journal, history, now, now)


async def start_guest(
    engine: Engine, spec: SandboxSpec, runtime: Runtime, env_vars: dict[str, str]
) -> tuple[EngineSandbox, Upstream]:
    """Have the engine make a sandbox, and bring it to where its template wants it. Raises `ApiError`."""
    try:
        guest = await engine.create(spec)
    except EngineError as error:
        raise ApiError(503, f"no sandbox could be made: {error}") from error
    upstream = Upstream(guest)
    try:
        await _prepare(guest.processes, runtime, env_vars)
    except BaseException as error:
        await upstream.close()
        await guest.kill()
        if isinstance(error, NotReadyError):
            raise ApiError(500, f"the sandbox could not be made: {error}") from error
        raise
    return guest, upstream


async def _prepare(processes: Processes, runtime: Runtime, env_vars: dict[str, str]) -> None:
    if env_vars or runtime.env or runtime.user != DEFAULT_USER or runtime.workdir:
        envs = {**runtime.env, **env_vars}
        processes.line.initialise(envs, user=runtime.user, workdir=runtime.workdir)
    if runtime.start_command or runtime.ready_command:
        await bring_up(processes, runtime, CREATE_SECONDS)


def follow(guest: EngineSandbox, journal: Journal) -> None:
    """Note in a sandbox's journal what its policy keeps it from."""
    guest.on_refused(lambda host, port: journal.note("connection_refused", "warn", host=host, port=port))
