"""`cast secrets`: environment variables of an agent that nobody can read back."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api, agent_path
from cast.errors import UsageMistake
from cast.options import AsJson, Slug, ask_secret, read_secret
from cast.text import moment

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Set, list and delete an agent's secrets."
)

_Key = Annotated[str, typer.Argument(metavar="KEY", help="The environment variable.", show_default=False)]


@app.command("list")
def list_secrets(slug: Slug, as_json: AsJson = False) -> None:
    """List the names; values are never shown."""
    with Api(configuration.connection()) as api:
        secrets = api.list(agent_path(slug, "secrets"))
    if as_json:
        console.result_json(secrets)
    elif secrets:
        console.table(
            ("key", "updated"), [(secret["key"], moment(secret["updated_at"])) for secret in secrets]
        )
    else:
        console.note(f"{slug} has no secrets")


@app.command("set")
def set_secret(
    slug: Slug,
    key: _Key,
    value: Annotated[
        str | None,
        typer.Argument(metavar="VALUE", help="Asked for without echo when left out.", show_default=False),
    ] = None,
    value_stdin: Annotated[bool, typer.Option("--value-stdin", help="Read the value from stdin.")] = False,
) -> None:
    """Set a secret; the next invocation sees it."""
    if value is not None and value_stdin:
        raise UsageMistake("a value and --value-stdin are two values", "give one of them")
    path = agent_path(slug, "secrets")
    if value is None:
        value = read_secret("value") if value_stdin else ask_secret(f"value of {key}", "--value-stdin")
    with Api(configuration.connection()) as api:
        api.post(path, {"key": key, "value": value})
    console.note(f"set {key} of {slug}")


@app.command("delete")
def delete_secret(slug: Slug, key: _Key) -> None:
    """Delete a secret; the next invocation runs without it."""
    with Api(configuration.connection()) as api:
        api.delete(agent_path(slug, "secrets", key))
    console.note(f"deleted {key} of {slug}")
