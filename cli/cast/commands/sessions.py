"""`cast sessions`: sandboxes that an agent keeps between invocations."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api, agent_path
from cast.errors import Json
from cast.options import AsJson, Limit, Offset, Slug
from cast.text import moment

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at an agent's sessions.")


@app.command("list")
def list_sessions(slug: Slug, limit: Limit = 20, offset: Offset = 0, as_json: AsJson = False) -> None:
    """List an agent's sessions, the newest first."""
    with Api(configuration.connection()) as api:
        sessions = api.list(agent_path(slug, "sessions"), limit=limit, offset=offset)
    if as_json:
        console.result_json(sessions)
    elif sessions:
        console.table(
            ("session", "status", "version", "invocations", "last used", "until", "why"),
            [_row(session) for session in sessions],
        )
    else:
        console.note(f"{slug} has no sessions: `cast invoke {slug} -s NAME PROMPT` starts one")


@app.command("delete")
def delete_session(
    slug: Slug,
    session_id: Annotated[str, typer.Argument(metavar="SESSION", help="Its id.", show_default=False)],
) -> None:
    """Delete a session with all that is in its sandbox."""
    with Api(configuration.connection()) as api:
        api.delete(agent_path(slug, "sessions", session_id))
    console.note(f"deleted {session_id} of {slug}")


def _row(session: Json) -> tuple[object, ...]:
    return (
        session["session_id"],
        session["status"],
        session["version"],
        session["invocation_count"],
        moment(session["last_used_at"]),
        moment(session["expires_at"]),
        session["message"],
    )
