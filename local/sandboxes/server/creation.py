"""Makes a sandbox out of a request: its specification, its daemon's environment, its token."""

from datetime import UTC, datetime

from local.sandboxes.engine import Engine, EngineError, SandboxSpec
from local.sandboxes.server.access import new_id, new_token
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.history import History
from local.sandboxes.server.journal import Journal
from local.sandboxes.server.network_policy import policy_of
from local.sandboxes.server.sandbox import Sandbox
from local.sandboxes.server.schemas import NewSandbox
from local.sandboxes.server.templates import Template
from local.sandboxes.server.upstream import Upstream


async def make_sandbox(engine: Engine, request: NewSandbox, template: Template) -> Sandbox:
    """Make a sandbox with no time to live yet. Raises `ApiError` if the engine can not."""
    policy = policy_of(request.network, allow_internet=request.allow_internet_access is not False)
    spec = SandboxSpec(new_id(), template.layers, template.limits, template.privileges, policy)
    try:
        guest = await engine.create(spec)
    except EngineError as error:
        raise ApiError(503, f"no sandbox could be made: {error}") from error
    upstream = Upstream(guest.envd_socket)
    try:
        if request.env_vars:
            await upstream.set_environment(request.env_vars)
    except BaseException:
        await upstream.close()
        await guest.kill()
        raise
    now = datetime.now(UTC)
    journal, history = Journal(spec.sandbox_id), History(guest, now)
    guest.on_refused(lambda host, port: journal.note("connection_refused", "warn", host=host, port=port))
    return Sandbox(request, template, new_token(), guest, upstream, journal, history, now, now)
