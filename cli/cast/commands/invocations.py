"""`cast invocations`: what an agent was asked, and what came of it."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.answers import report
from cast.api import Api, agent_path
from cast.errors import Json, UsageMistake
from cast.options import AsJson, InvocationId, Limit, Offset, Slug
from cast.output import Output, write_all
from cast.text import moment
from cast.waiting import PATIENCE_SECONDS

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at an agent's invocations.")


@app.command("list")
def list_invocations(
    slug: Slug,
    *,
    status: Annotated[str | None, typer.Option("--status", help="Only those of this status.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", "-s", metavar="SESSION", help="Only those of this session.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Made then or later: 2026-01-31T08:00:00Z.")
    ] = None,
    limit: Limit = 20,
    offset: Offset = 0,
    as_json: AsJson = False,
) -> None:
    """List an agent's invocations, newest first."""
    wanted = {"status": status, "session_id": session, "since": since}
    chosen = {name: value for name, value in wanted.items() if value is not None}
    with Api(configuration.connection()) as api:
        invocations = api.list(agent_path(slug, "invocations"), limit=limit, offset=offset, **chosen)
    if as_json:
        console.result_json(invocations)
    elif invocations:
        console.table(
            ("invocation", "status", "took", "created", "failure"), [_row(one) for one in invocations]
        )
    else:
        console.note(f"{slug} has no invocations: `cast invoke {slug} PROMPT` makes one")


@app.command("get")
def get_invocation(
    slug: Slug,
    invocation_id: InvocationId,
    *,
    wait: Annotated[
        int, typer.Option("--wait", min=0, max=20, metavar="SECONDS", help="Until it has ended.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Print the answer of an invocation.

    Without one, say why; the exit code is 1 unless it completed.
    """
    with Api(configuration.connection()) as api:
        one = agent_path(slug, "invocations", invocation_id)
        report(api.get(f"{one}?wait={wait}" if wait else one), slug, as_json=as_json)


@app.command("output")
def show_output(
    slug: Slug,
    invocation_id: InvocationId,
    *,
    stderr: Annotated[bool, typer.Option("--stderr", help="Its log instead of its answer.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
    offset: Annotated[int, typer.Option("--offset", min=0, metavar="BYTES", help="Where to begin.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print what an invocation has printed so far, while it runs or afterwards."""
    if follow and as_json:
        raise UsageMistake("--json prints one part, --follow many", "give one of them")
    with Api(configuration.connection()) as api:
        stream = "stderr" if stderr else "stdout"
        output = Output(api, agent_path(slug, "invocations", invocation_id), stream, offset)
        if as_json:
            console.result_json(output.part())
        elif follow:
            output.follow(console.write, patience_seconds=PATIENCE_SECONDS)
        else:
            write_all(output, console.write)


@app.command("cancel")
def cancel_invocation(slug: Slug, invocation_id: InvocationId, as_json: AsJson = False) -> None:
    """End an invocation and its sandbox; what has ended already stays as it is."""
    with Api(configuration.connection()) as api:
        ended = api.cancel(agent_path(slug, "invocations", invocation_id))
    if as_json:
        console.result_json(ended)
    elif ended["status"] == "cancelled":
        console.note(f"{invocation_id} is cancelled")
    else:
        console.note(f"{invocation_id} had ended already: {ended['status'].replace('_', ' ')}")


def _row(invocation: Json) -> tuple[object, ...]:
    milliseconds = invocation.get("duration_ms")
    return (
        invocation["invocation_id"],
        invocation["status"],
        None if milliseconds is None else f"{milliseconds} ms",
        moment(invocation.get("created_at")),
        (invocation.get("failure") or {}).get("code"),
    )
