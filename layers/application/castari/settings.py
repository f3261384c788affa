"""The one place where the environment becomes typed settings; only bootstrap reads it."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class Limits(BaseModel):
    """What the platform allows; the public contract names the defaults."""

    model_config = ConfigDict(frozen=True)

    prompt_bytes: int = 1024 * 1024
    prompt_inline_bytes: int = 64 * 1024
    """A prompt rides in one environment string up to here; Linux ends one at 128 KiB."""
    row_inline_bytes: int = 100 * 1024
    output_kept_bytes: int = 10 * 1024 * 1024
    log_kept_bytes: int = 4 * 1024 * 1024
    """Of stderr, its end."""
    output_inline_bytes: int = 4 * 1024 * 1024
    upload_bytes: int = 6 * 1024 * 1024
    bundle_bytes: int = 250 * 1024 * 1024
    default_timeout_seconds: int = 120
    max_timeout_seconds: int = 600
    deploy_timeout_seconds: int = 600
    deploy_lease_seconds: int = 90
    """A deploy whose worker was silent for so long is given to another one, once."""
    answer_budget_seconds: float = 25.0
    """API Gateway ends an HTTP integration at 30 s, counted from its own time stamp."""
    crud_per_minute: int = 100
    invoke_per_minute: int = 10
    api_keys_per_user: int = 20
    secrets_bytes: int = 60 * 1024
    """All secrets of one agent together; Secrets Manager ends at 64 KiB."""
    upload_url_seconds: int = 15 * 60
    warm_idle_seconds: int = 15 * 60
    """Warm sandboxes of an agent that nobody invoked for so long are ended."""
    warm_auto_most: int = 10
    """`auto` keeps at most so many."""
    sandbox_longest_seconds: int = 3600
    """No sandbox lives longer on E2B's smallest plan, however often its timeout is renewed."""
    session_idle_seconds: int = 15
    """After its last use a session's sandbox runs on for so long before it is paused."""
    sessions_per_agent: int = 100
    loopback_callback_port: int = 0
    """The port of this machine that callbacks may go to by http; 0 for none."""
    callback_longest_pause_seconds: int = 10 * 3600
    """The queue can hide a message for 12 hours."""


class Settings(BaseModel):
    """What differs from stack to stack. Names are the environment variables in lower case."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    """The stack's name; sandboxes carry it in their metadata so that a sweep touches only its own."""
    agents_table: str
    versions_table: str
    invocations_table: str
    warm_table: str
    sessions_table: str
    build_logs_table: str
    api_keys_table: str
    users_table: str
    usage_table: str
    bundle_bucket: str
    result_bucket: str
    deploy_queue_url: str
    invocation_queue_url: str
    maintenance_queue_url: str
    callback_queue_url: str
    platform_secret_id: str
    agent_secret_prefix: str
    callback_secret_prefix: str
    loopback_callback_port: int
    callback_longest_pause_seconds: int
    base_template: str
    capacity_table: str
    warm_per_agent: int
    warm_idle_seconds: int
    creates_per_second: int
    """The plan's limit of creations, 0 for none."""
    sandboxes_at_once: int
    """The plan's limit of sandboxes, 0 for none."""
    versions_kept: int
    """So many versions of an agent can be rolled back to, the one that serves among them."""
    session_hours: int
    """A session that nobody used for so long ends, and its sandbox with it."""
    presign_endpoint_url: str
    """Where sandboxes reach S3; empty means AWS itself."""
    e2b_api_url: str
    e2b_sandbox_url: str
    """Empty means E2B's cloud."""
    limits: Limits = Limits()


def load(environment: Mapping[str, str]) -> Settings:
    """Read settings from the environment. Raises `pydantic.ValidationError` naming what is missing."""
    names = Settings.model_fields.keys() - {"limits"}
    known = Settings.model_validate(
        {name: environment[name.upper()] for name in names if name.upper() in environment}
    )
    both = Settings.model_fields.keys() & Limits.model_fields.keys()
    shared = {name: getattr(known, name) for name in both}
    limits = known.limits.model_copy(update=shared)
    return known.model_copy(update={"limits": limits})
