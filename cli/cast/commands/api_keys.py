"""`cast apikey`: the keys that open the platform for you."""

from typing import Annotated
from urllib.parse import quote

import typer

from cast import configuration, console
from cast.api import Api
from cast.options import AsJson
from cast.text import moment

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, create and revoke API keys.")


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List your keys by id and prefix."""
    with Api(configuration.connection()) as api:
        keys = api.list("/api-keys")
    if as_json:
        console.result_json(keys)
        return
    rows = [
        (key["id"], key["prefix"], key["name"], moment(key["created_at"]), moment(key["last_used_at"]))
        for key in keys
    ]
    console.table(("id", "prefix", "name", "created", "last used"), rows)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "cast", as_json: AsJson = False
) -> None:
    """Create a key and print it, this once."""
    with Api(configuration.connection()) as api:
        created = api.post("/api-keys", {"name": name})
    if as_json:
        console.result_json(created)
        return
    console.result(created["key"])
    console.note(f"created {created['api_key']['id']}; the key is not shown again")


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="From `cast apikey list`.", show_default=False)],
) -> None:
    """Revoke a key; it stops working at once."""
    with Api(configuration.connection()) as api:
        api.delete(f"/api-keys/{quote(key_id, safe='')}")
    console.note(f"revoked {key_id}")
