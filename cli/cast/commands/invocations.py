"""`cast invocations`: what an agent was asked, and what came of it."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.answers import report
from cast.api import Api, agent_path
from cast.errors import Json
from cast.options import AsJson, Limit, Offset, Slug
from cast.text import moment

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at an agent's invocations.")


@app.command("list")
def list_invocations(slug: Slug, limit: Limit = 20, offset: Offset = 0, as_json: AsJson = False) -> None:
    """List an agent's invocations, newest first."""
    with Api(configuration.connection()) as api:
        invocations = api.list(agent_path(slug, "invocations"), limit=limit, offset=offset)
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
    invocation_id: Annotated[str, typer.Argument(metavar="ID", help="inv_…", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print the answer of an invocation.

    Without one, say why; the exit code is 1 unless it completed.
    """
    with Api(configuration.connection()) as api:
        report(api.get(agent_path(slug, "invocations", invocation_id)), slug, as_json=as_json)


def _row(invocation: Json) -> tuple[object, ...]:
    milliseconds = invocation.get("duration_ms")
    return (
        invocation["invocation_id"],
        invocation["status"],
        None if milliseconds is None else f"{milliseconds} ms",
        moment(invocation.get("created_at")),
        (invocation.get("failure") or {}).get("code"),
    )
