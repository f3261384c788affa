"""`cast invoke`: one prompt in, one answer out."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cast import configuration, console, waiting
from cast.answers import ENDED, report
from cast.api import Api, agent_path
from cast.errors import ApiError, CastError, Json, UsageMistake
from cast.options import AsJson, Slug
from cast.output import Output
from cast.waiting import PATIENCE_SECONDS

# The longest that the platform waits in one request.
_LONG_POLL_SECONDS = 20
_LONGEST_WAIT_SECONDS = 25


def invoke(
    slug: Slug,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="Read from stdin when left out.", show_default=False),
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="Read the prompt from it.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", "-s", metavar="SESSION", help="Run in this session's sandbox; new if new."),
    ] = None,
    timeout: Annotated[
        int | None,
        typer.Option("--timeout", min=1, metavar="SECONDS", help="The agent's time, instead of its own."),
    ] = None,
    callback_url: Annotated[
        str | None,
        typer.Option("--callback-url", metavar="URL", help="Have the signed result sent there, by https."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--async", "--detach", help="Print the invocation's id and do not wait.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what the agent prints while it runs.")
    ] = False,
    wait: Annotated[
        int | None,
        typer.Option("--wait", min=0, metavar="SECONDS", help="Wait so long, then let it run on."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a prompt to an agent and print its answer."""
    if follow and (as_json or detach or wait is not None):
        raise UsageMistake("--follow waits for the end and prints text", "leave the other options out")
    path = agent_path(slug)
    options = {"session_id": session, "timeout_seconds": timeout, "callback_url": callback_url}
    body: Json = {"prompt": _prompt(prompt, file), **{k: v for k, v in options.items() if v is not None}}
    with Api(configuration.connection()) as api:
        if follow:
            _follow(api, slug, body)
            return
        if detach or wait == 0:
            queued = api.post(f"{path}/invocations", body)
            console.result_json(queued) if as_json else console.result(queued["invocation_id"])
            return
        patience = PATIENCE_SECONDS if wait is None else wait
        report(_answer(api, slug, body, patience), slug, as_json=as_json)


def _prompt(prompt: str | None, file: Path | None) -> str:
    if prompt is not None and file is not None:
        raise UsageMistake("a prompt and --input are two prompts", "give one of them")
    if prompt is not None:
        return prompt
    if file is None and sys.stdin.isatty():
        console.note("type the prompt, then Ctrl-D:")
    try:
        return (sys.stdin.buffer.read() if file is None else file.read_bytes()).decode()
    except UnicodeDecodeError as error:
        raise CastError(
            "the prompt is not UTF-8 text", "convert it, or encode what is binary in it"
        ) from error
    except OSError as error:
        raise CastError(f"{file} cannot be read: {error.strerror}") from error


def _answer(api: Api, slug: str, body: Json, patience_seconds: float) -> Json:
    """Return the invocation as it ended, a failed one as well, or as it is after `patience_seconds`."""
    with console.step(f"waiting for {slug}") as step:
        ends_at = time.monotonic() + patience_seconds
        wait = f"?wait={patience_seconds:g}" if patience_seconds < _LONGEST_WAIT_SECONDS else ""
        try:
            invocation = api.post(f"{agent_path(slug)}/invoke{wait}", body)
        except ApiError as error:
            if "invocation_id" not in error.body:
                raise
            invocation = error.body
        invocation = _ended(api, slug, invocation, step, ends_at)
        step.outcome = f"{slug} {invocation['status'].replace('_', ' ')}"
        step.succeeded = invocation["status"] == "completed"
        return invocation


def _ended(api: Api, slug: str, invocation: Json, step: console.Step, ends_at: float) -> Json:
    """Ask until the invocation has ended or the time is over; the platform let go of it after some 25 s."""
    invocation_id = invocation["invocation_id"]
    if invocation["status"] in ENDED or time.monotonic() >= ends_at:
        return invocation
    look = f"cast invocations get {slug} {invocation_id}"
    console.note(f"still {invocation['status']}: `{look}` shows it later, should this be interrupted")
    one = agent_path(slug, "invocations", invocation_id)

    def ask() -> Json:
        left = min(_LONG_POLL_SECONDS, ends_at - time.monotonic())
        return api.get(f"{one}?wait={max(0.0, left):.1f}")

    for answer in waiting.answers(ask, patience_seconds=PATIENCE_SECONDS):
        step.progress(f"{slug} is {answer['status']}")
        if answer["status"] in ENDED or time.monotonic() >= ends_at:
            return answer
    raise CastError(f"{invocation_id} has not ended after {PATIENCE_SECONDS:.0f} s", f"look again: `{look}`")


def _follow(api: Api, slug: str, body: Json) -> None:
    """Print the agent's stdout as it comes; how it ended is said as ever. Raises `InvocationFailed`."""
    queued = api.post(agent_path(slug, "invocations"), body)
    one = agent_path(slug, "invocations", queued["invocation_id"])
    console.note(f"following {queued['invocation_id']}")
    try:
        Output(api, one, "stdout").follow(console.write, patience_seconds=PATIENCE_SECONDS)
    except KeyboardInterrupt:
        console.note(f"it runs on: `cast invocations cancel {slug} {queued['invocation_id']}` ends it")
        raise
    report(api.get(one), slug, as_json=False, was_printed=True)
