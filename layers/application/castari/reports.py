"""What the runner hands in: facts, bounded, for they come out of a sandbox."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Field

from castari.models import RunEvent, RunEventName

_TEXT_BYTES = 160_000
"""100 KiB of answer in base64, with room; a DynamoDB row ends at 400 KB."""
LONGEST_OUTPUT_BYTES = 256 * 1024
"""Of a part of what a running agent has printed: JSON within JSON may take seven bytes for one."""
LONGEST_REPORT_BYTES = 2 * 1024 * 1024
"""JSON may take six bytes for one; more than this is no report of ours."""


def _fits(text: str | None) -> str | None:
    if text is not None and len(text.encode()) > _TEXT_BYTES:
        raise ValueError(f"longer than {_TEXT_BYTES} bytes")
    return text


BoundedText = Annotated[str | None, AfterValidator(_fits)]
Count = Annotated[int, Field(ge=0, le=2**53)]


_MOST_USED = 10**12


def _plausible(value: object) -> int:
    """Return a count that an agent claims, or 0 for anything that is none: it must not spoil the report."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return 0
    return min(value, _MOST_USED)


ClaimedCount = Annotated[int, BeforeValidator(_plausible)]


_LATEST = 2**45
"""As milliseconds since the epoch, a thousand years."""


def _known_events(value: object) -> list[RunEvent]:
    """Return the events that can be believed, each once; whatever else is there must not spoil the report."""
    found: dict[str, RunEvent] = {}
    for each in value if isinstance(value, list) else ():
        name, at = (each.get("name"), each.get("at_milliseconds")) if isinstance(each, dict) else (None, None)
        if isinstance(name, str) and name in get_args(RunEventName) and type(at) is int and 0 <= at < _LATEST:
            found.setdefault(name, RunEvent.model_validate({"name": name, "at_milliseconds": at}))
    return sorted(found.values(), key=lambda event: event.at_milliseconds)


def _known_time(value: object) -> int | None:
    """Return a time in milliseconds, or None for anything that is none."""
    return value if type(value) is int and 0 <= value < _LATEST else None


class ReportedUsage(BaseModel):
    """What the agent says it used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    input_tokens: ClaimedCount = 0
    output_tokens: ClaimedCount = 0
    cost_micro_dollars: ClaimedCount = 0


class RunReport(BaseModel):
    """How one attempt ended. `problem` is set when the agent could not be run at all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    invocation_id: str
    attempt: int
    usage: ReportedUsage = ReportedUsage()
    agent_milliseconds: Count | None = None
    """From the agent's start to its end, by the runner's clock."""
    began_at_milliseconds: Annotated[int | None, BeforeValidator(_known_time)] = None
    """When the runner set out to start the agent, since the epoch, by the sandbox's clock."""
    events: Annotated[tuple[RunEvent, ...], BeforeValidator(_known_events)] = ()
    problem: Annotated[str, Field(max_length=2_000)] | None = None
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: Annotated[int, Field(ge=1, le=64)] | None = None
    timed_out: bool = False
    oom_kills: Count | None = None
    """Processes that this kernel ended for memory meanwhile; None where it does not say."""
    stdout: BoundedText = None
    stdout_is_base64: bool = False
    stdout_stored: bool = False
    truncated: bool = False
    stderr: BoundedText = None
    stderr_bytes: Count = 0
    stderr_stored_bytes: Count = 0
    """So much of its end was put aside, for it is longer than what is here."""


class OutputFrame(BaseModel):
    """A part of what a running agent has printed so far."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    castari: Literal["output"]
    offset: Count
    content: Annotated[Base64Bytes, Field(max_length=LONGEST_OUTPUT_BYTES)]
