"""`cast agents` and `cast stop`: what is deployed."""

from typing import Annotated

import typer

from cast import configuration, console
from cast.api import Api, agent_path
from cast.errors import Json, UsageMistake
from cast.options import AsJson, Limit, Offset, Slug, confirm
from cast.text import moment

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, show, create, change and delete agents."
)

_Description = Annotated[str | None, typer.Option("--description", help="What it does.")]
_Model = Annotated[str | None, typer.Option("--model", help="The model it uses by default.")]
_Turns = Annotated[int | None, typer.Option("--max-turns", min=1, help="How many turns it may take.")]
_Timeout = Annotated[
    int | None, typer.Option("--timeout", min=1, metavar="SECONDS", help="Its time for an answer.")
]
_GitUrl = Annotated[
    str | None, typer.Option("--git-url", metavar="URL", help="Where deploys clone it from, by https.")
]
_CallbackUrl = Annotated[
    str | None,
    typer.Option(
        "--callback-url", metavar="URL", help="Where each result is sent, by https; '' for nowhere."
    ),
]
_GitBranch = Annotated[str | None, typer.Option("--git-branch", help="Instead of the repository's default.")]
_SHOWN = (
    "name", "slug", "status", "status_message", "description", "id", "source_type", "git_repo_url",
    "git_branch", "active_version", "source_hash", "default_model", "max_turns", "timeout_seconds",
    "callback_url", "created_at", "updated_at",
)  # fmt: skip


@app.command("list")
def list_agents(limit: Limit = 20, offset: Offset = 0, as_json: AsJson = False) -> None:
    """List your agents."""
    with Api(configuration.connection()) as api:
        agents = api.list("/agents", limit=limit, offset=offset)
    if as_json:
        console.result_json(agents)
    elif agents:
        rows = [
            (agent["slug"], agent["status"], agent["name"], moment(agent["updated_at"])) for agent in agents
        ]
        console.table(("slug", "status", "name", "updated"), rows)
    else:
        console.note("no agents: `cast init NAME` makes one, `cast deploy` brings it here")


@app.command("get")
def get_agent(slug: Slug, as_json: AsJson = False) -> None:
    """Show one agent."""
    with Api(configuration.connection()) as api:
        _show(api.get(agent_path(slug)), as_json=as_json)


@app.command("create")
def create_agent(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its display name.", show_default=False)],
    *,
    slug: Annotated[str | None, typer.Option("--slug", help="Made from the name when left out.")] = None,
    description: _Description = None,
    model: _Model = None,
    max_turns: _Turns = None,
    timeout: _Timeout = None,
    git_url: _GitUrl = None,
    git_branch: _GitBranch = None,
    as_json: AsJson = False,
) -> None:
    """Create an agent without code; `cast deploy` creates one by itself.

    With --git-url, deploys take what the repository holds; a private one needs the secret GIT_TOKEN.
    """
    body: Json = {"name": name, "slug": slug, "source_type": "git" if git_url else None}
    body |= _changes(description, model, max_turns, timeout) | _source(git_url, git_branch)
    with Api(configuration.connection()) as api:
        agent = api.post("/agents", {key: value for key, value in body.items() if value is not None})
    _show(agent, as_json=as_json)


@app.command("update")
def update_agent(
    slug: Slug,
    *,
    name: Annotated[str | None, typer.Option("--name", help="Its display name.")] = None,
    description: _Description = None,
    model: _Model = None,
    max_turns: _Turns = None,
    timeout: _Timeout = None,
    git_url: _GitUrl = None,
    git_branch: _GitBranch = None,
    callback_url: _CallbackUrl = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given."""
    body: Json = ({"name": name} if name else {}) | _changes(description, model, max_turns, timeout)
    body |= _source(git_url, git_branch)
    if callback_url is not None:
        body["callback_url"] = callback_url or None
    if not body:
        raise UsageMistake("nothing to change", "`cast agents update --help` lists what can be")
    with Api(configuration.connection()) as api:
        _show(api.patch(agent_path(slug), body), as_json=as_json)


@app.command("delete")
def delete_agent(
    slug: Slug, force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False
) -> None:
    """Delete an agent with its secrets, bundles, sandboxes and history."""
    path = agent_path(slug)
    confirm(f"Delete {slug} with its secrets and history?", force=force)
    with Api(configuration.connection()) as api:
        api.delete(path)
    console.note(f"deleted {slug}")


def stop(slug: Slug) -> None:
    """Stop an agent: its sandboxes are destroyed. `cast deploy` brings it back."""
    with Api(configuration.connection()) as api:
        api.delete(agent_path(slug, "sandbox"))
    console.note(f"stopped {slug}")


def _changes(description: str | None, model: str | None, max_turns: int | None, timeout: int | None) -> Json:
    given: Json = {"description": description, "default_model": model}
    given |= {"max_turns": max_turns, "timeout_seconds": timeout}
    return {key: value for key, value in given.items() if value is not None}


def _source(git_url: str | None, git_branch: str | None) -> Json:
    given = {"git_repo_url": git_url, "git_branch": git_branch}
    return {key: value for key, value in given.items() if value is not None}


def _show(agent: Json, *, as_json: bool) -> None:
    if as_json:
        console.result_json(agent)
        return
    for name in _SHOWN:
        if agent.get(name) is not None:
            console.result(f"{name.replace('_', ' ') + ':':<17}{agent[name]}")
