"""`cast callbacks`: the secret that signs results which are sent to a callback URL."""

import typer

from cast import configuration, console
from cast.api import Api, agent_path
from cast.options import AsJson, Slug
from cast.text import moment

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make the secret that signs an agent's callbacks."
)


@app.command("secret")
def make_secret(slug: Slug, as_json: AsJson = False) -> None:
    """Make the secret, or another one, and print it this once."""
    with Api(configuration.connection()) as api:
        made = api.post(agent_path(slug, "callback-secret"), {})
    if as_json:
        console.result_json(made)
        return
    console.result(made["secret"])
    if until := made["previous_valid_until"]:
        console.note(f"the one before it signs beside it until {moment(until)}")
    console.note("it is not shown again: give it to the receiver now")
