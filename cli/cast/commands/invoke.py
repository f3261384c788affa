"""`cast invoke`: one prompt in, one answer out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cast import configuration, console, waiting
from cast.answers import ENDED, report
from cast.api import Api, agent_path
from cast.errors import ApiError, CastError, Json, UsageMistake
from cast.options import AsJson, Slug

# The longest that the platform lets an agent run, and a little for what surrounds it.
_PATIENCE_SECONDS = 660.0


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
    timeout: Annotated[
        int | None,
        typer.Option("--timeout", min=1, metavar="SECONDS", help="The agent's time, instead of its own."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the invocation's id and do not wait.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a prompt to an agent and print its answer."""
    path = agent_path(slug)
    body: Json = {"prompt": _prompt(prompt, file)}
    if timeout is not None:
        body["timeout_seconds"] = timeout
    with Api(configuration.connection()) as api:
        if detach:
            queued = api.post(f"{path}/invocations", body)
            console.result_json(queued) if as_json else console.result(queued["invocation_id"])
            return
        report(_answer(api, path, slug, body), slug, as_json=as_json)


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


def _answer(api: Api, path: str, slug: str, body: Json) -> Json:
    """Return the invocation as it ended; a failed one as well."""
    with console.step(f"waiting for {slug}") as step:
        try:
            invocation = api.post(f"{path}/invoke", body)
        except ApiError as error:
            if "invocation_id" not in error.body:
                raise
            invocation = error.body
        invocation = _ended(api, path, slug, invocation, step)
        step.outcome = f"{slug} {invocation['status'].replace('_', ' ')}"
        step.succeeded = invocation["status"] == "completed"
        return invocation


def _ended(api: Api, path: str, slug: str, invocation: Json, step: console.Step) -> Json:
    """Ask until the invocation has ended; the platform let go of it after some 25 s."""
    invocation_id = invocation["invocation_id"]
    if invocation["status"] in ENDED:
        return invocation
    look = f"cast invocations get {slug} {invocation_id}"
    console.note(f"still {invocation['status']}: `{look}` shows it later, should this be interrupted")
    one = f"{path}/invocations/{invocation_id}"
    for answer in waiting.answers(lambda: api.get(one), patience_seconds=_PATIENCE_SECONDS):
        step.progress(f"{slug} is {answer['status']}")
        if answer["status"] in ENDED:
            return answer
    raise CastError(f"{invocation_id} has not ended after {_PATIENCE_SECONDS:.0f} s", f"look again: `{look}`")
