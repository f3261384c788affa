"""`cast logs`: what an agent printed on stderr for an invocation, and what happened to it when."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api, agent_path
from cast.errors import Json, UsageMistake
from cast.options import AsJson, InvocationId, Slug
from cast.output import Output, write_all
from cast.text import moment_exactly
from cast.waiting import PATIENCE_SECONDS


def logs(
    slug: Slug,
    invocation_id: InvocationId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the log of an invocation: its stderr to stdout, what happened to it to stderr."""
    if follow and as_json:
        raise UsageMistake("--json prints the log as it is now, --follow goes on", "give one of them")
    with Api(configuration.connection()) as api:
        one = agent_path(slug, "invocations", invocation_id)
        if as_json:
            console.result_json(api.get(f"{one}/logs"))
            return
        output = Output(api, one, "stderr")
        if follow:
            output.follow(console.write, patience_seconds=PATIENCE_SECONDS)
        else:
            write_all(output, console.write)
        _tell(api.get(f"{one}/logs"))


def _tell(log: Json) -> None:
    for event in log["events"]:
        detail = f"  {event['detail']}" if event["detail"] else ""
        console.note(f"{moment_exactly(event['at'])}  {event['event'].replace('_', ' ')}{detail}")
    if log["notice"]:
        console.note(log["notice"])
