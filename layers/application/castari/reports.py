"""What the runner hands in: facts, bounded, for they come out of a sandbox."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Field

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


class OutputFrame(BaseModel):
    """A part of what a running agent has printed so far."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    castari: Literal["output"]
    offset: Count
    content: Annotated[Base64Bytes, Field(max_length=LONGEST_OUTPUT_BYTES)]
