"""`cast versions` and `cast rollback`: what was deployed, what its build said, and the way back."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api, agent_path
from cast.builds import Told
from cast.errors import CastError, Json
from cast.options import AsJson, Limit, Offset, Slug
from cast.text import byte_size, moment

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at what was deployed.")
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Its number, or ver_…", show_default=False)]
_PAGE, _MOST = 100, 1_000


@app.command("list")
def list_versions(slug: Slug, limit: Limit = 20, offset: Offset = 0, as_json: AsJson = False) -> None:
    """List an agent's versions, newest first; the one that serves is marked."""
    with Api(configuration.connection()) as api:
        versions = api.list(agent_path(slug, "versions"), limit=limit, offset=offset)
    if as_json:
        console.result_json(versions)
    elif versions:
        console.table(
            ("version", "serves", "status", "bundle", "size", "built in", "created", "by"),
            [_row(version) for version in versions],
        )
    else:
        console.note(f"{slug} has no versions: `cast deploy` makes one")


@app.command("log")
def show_log(slug: Slug, version: Version) -> None:
    """Print what the build of a version said."""
    with Api(configuration.connection()) as api:
        path, offset, done = agent_path(slug, "versions", _id(api, slug, version), "log"), 0, False
        told = Told(console.result, lambda _: None)
        while not done:
            part = api.get(f"{path}?offset={offset}&limit={_PAGE}")
            for entry in part["entries"]:
                _print(entry, told)
            done = part["done"] or not part["entries"]
            offset = part["next_offset"]


def rollback(slug: Slug, version: Version, as_json: AsJson = False) -> None:
    """Let an earlier version serve again, at once and without a build."""
    wanted: int | str = int(version) if version.isdecimal() else version
    with Api(configuration.connection()) as api:
        agent = api.post(agent_path(slug, "rollback"), {"version": wanted})
    if as_json:
        console.result_json(agent)
    else:
        console.result(f"{slug} is {agent['status']}: version {agent['active_version']}")


def _print(entry: Json, told: Told) -> None:
    if entry["kind"] == "output":
        console.write(console.printable(entry["text"]))
    elif entry["kind"] == "failed":
        console.result(f"  ✗ {entry['text']}")
    else:
        told.tell(entry)


def _id(api: Api, slug: str, version: str) -> str:
    if not version.isdecimal():
        return version
    for offset in range(0, _MOST, _PAGE):
        page = api.list(agent_path(slug, "versions"), limit=_PAGE, offset=offset)
        for each in page:
            if each["number"] == int(version):
                return str(each["id"])
        if len(page) < _PAGE:
            break
    raise CastError(f"{slug} has no version {version}", f"`cast versions list {slug}` shows those it has")


def _row(version: Json) -> tuple[object, ...]:
    milliseconds = version.get("build_ms")
    return (
        version["number"],
        "yes" if version["active"] else "",
        version["status"],
        version["source_hash"][:12],
        byte_size(version["size_bytes"]),
        None if milliseconds is None else f"{milliseconds / 1000:.1f} s",
        moment(version["created_at"]),
        version["created_by"],
    )
