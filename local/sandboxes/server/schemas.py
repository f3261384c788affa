"""Request bodies of the REST API, checked."""

from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from local.sandboxes.server.errors import ApiError, not_supported

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]*(:default)?$"
MAX_ENTRIES = 256
MAX_TEXT = 64 * 1024

M = TypeVar("M", bound="Body")
Texts = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(max_length=MAX_TEXT)]],
    Field(max_length=MAX_ENTRIES),
    BeforeValidator(lambda value: {} if value is None else value),
]
Rules = Annotated[
    tuple[str, ...],
    Field(max_length=MAX_ENTRIES),
    BeforeValidator(lambda value: () if value is None else value),
]
Seconds = Annotated[int, Field(ge=0)]


class Body(BaseModel):
    """A JSON object in camel case; what it has beyond its fields is ignored, as newer SDKs send more."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Egress(Body):
    """Where a sandbox may connect to."""

    allow_out: Rules = ()
    deny_out: Rules = ()
    dns_servers: tuple[str, ...] | None = None
    egress_proxy: dict[str, Any] | None = None
    rules: dict[str, Any] | None = None


class Network(Egress):
    """Where a sandbox may connect to, and who may connect to it (nobody, here)."""

    allow_public_traffic: bool | None = None
    mask_request_host: str | None = None
    https_ports: tuple[int, ...] | None = None


class NetworkUpdate(Egress):
    """Where a running sandbox may connect to from now on: what is left out is open again."""

    allow_internet_access: bool | None = Field(
        default=None, validation_alias=AliasChoices("allow_internet_access", "allowInternetAccess")
    )


class AutoResume(Body):
    """Whether using a paused sandbox resumes it."""

    enabled: bool = False


class NewSandbox(Body):
    """The wish for a sandbox."""

    template_id: str = Field(alias="templateID", min_length=1, max_length=256)
    timeout: Seconds | None = None
    auto_pause: bool = False
    auto_pause_memory: bool = True
    auto_resume: AutoResume = AutoResume()
    allow_internet_access: bool | None = Field(
        default=None, validation_alias=AliasChoices("allow_internet_access", "allowInternetAccess")
    )
    network: Network = Field(default_factory=Network.model_construct)
    metadata: Texts = {}
    env_vars: Texts = {}
    mcp: dict[str, Any] | None = None
    iam: dict[str, Any] | None = None
    volume_mounts: list[dict[str, Any]] = []

    def check_supported(self) -> None:
        """Raise `ApiError` for what this server leaves out, rather than ignore it."""
        wishes = {
            "MCP gateways": self.mcp,
            "workload identity (iam)": self.iam,
            "volumes": self.volume_mounts,
        }
        for name, wish in wishes.items():
            if wish:
                raise not_supported(name)
        if self.auto_resume.enabled and not self.auto_pause_memory:
            raise ApiError(400, "autoResume: what is paused without memory can not be resumed by its use")


class Timeout(Body):
    """A time to live from now on, in seconds."""

    timeout: Seconds | None = None


class Connect(Timeout):
    """The wish for access to a sandbox that may be paused, and whether its memory is to come back."""

    memory: bool = True


class Pause(Body):
    """The wish for a pause: whether memory is kept, and whether the daemon must answer first."""

    memory: bool = True
    require_healthy_guest: bool = False

    @property
    def needs_answer(self) -> bool:
        """Whether a daemon that does not answer is a reason not to pause."""
        return self.require_healthy_guest or not self.memory


class Refresh(Body):
    """A time to live from now on, in seconds, that never shortens."""

    duration: Seconds | None = None


class Fork(Body):
    """The wish for copies of a sandbox, and their time to live in seconds."""

    timeout: Seconds = 15
    count: int = Field(default=1, ge=1, le=20)


class NewSnapshot(Body):
    """The wish for a snapshot, and its name."""

    name: str | None = Field(
        default=None, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*(:default)?$"
    )


async def read_body(request: web.Request, schema: type[M]) -> M:
    """Read a request's body; no body means no wishes. Raises `ApiError` that names the wrong field."""
    try:
        return schema.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise ApiError(400, f"{where}: {first['msg']}") from None
