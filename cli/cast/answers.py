"""Shows the end of an invocation: the answer alone on stdout, everything about a failure on stderr."""

import base64
import sys

from cast import console
from cast.errors import CastError, Json

ENDED = frozenset({"completed", "failed", "timed_out", "cancelled", "lost"})


class InvocationFailed(CastError):
    """The invocation did not complete; the message names it."""


def report(invocation: Json, slug: str, *, as_json: bool, was_printed: bool = False) -> None:
    """Print an invocation, but not its answer again. Raises `InvocationFailed` unless it completed."""
    if as_json:
        console.result_json(invocation)
    elif invocation["status"] == "completed":
        if not was_printed:
            _print_answer(invocation)
        if invocation.get("notice"):
            console.warn(f"{invocation['notice']} ({invocation['invocation_id']})")
    if invocation["status"] != "completed":
        raise _failure(invocation, slug)


def _print_answer(invocation: Json) -> None:
    content = invocation.get("response_content") or ""
    console.write(base64.b64decode(content) if invocation.get("response_is_base64") else content)
    if sys.stdout.isatty() and not content.endswith("\n"):
        console.write("\n")


def _failure(invocation: Json, slug: str) -> InvocationFailed:
    failure = invocation.get("failure") or {}
    invocation_id, status = invocation["invocation_id"], str(invocation["status"])
    if status not in ENDED:
        return InvocationFailed(
            f"{invocation_id} is still {status}", f"look again: `cast invocations get {slug} {invocation_id}`"
        )
    if invocation.get("stderr_tail"):
        console.note("the agent's last words on stderr:")
        console.note("".join(f"  | {line}\n" for line in invocation["stderr_tail"].splitlines()).rstrip("\n"))
    reason = failure.get("message") or invocation.get("detail") or status.replace("_", " ")
    return InvocationFailed(
        f"{reason} ({', '.join([invocation_id, *_marks(failure)])})", failure.get("remedy") or ""
    )


def _marks(failure: Json) -> list[str]:
    marks = [str(failure["code"])] if failure.get("code") else []
    if failure.get("exit_code") is not None:
        marks.append(f"exit code {failure['exit_code']}")
    if failure.get("signal"):
        marks.append(f"signal {failure['signal']}")
    return marks
