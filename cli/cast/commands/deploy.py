"""`cast deploy`: from a folder to an agent that answers."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from cast import configuration, console, uploads
from cast.api import Api, agent_path
from cast.builds import Build, Told, newest_version, summary
from cast.bundle import Bundle, pack
from cast.console import Step
from cast.errors import ApiError, CastError, Json
from cast.manifest import FILE_NAME, Manifest, read_manifest
from cast.options import AsJson
from cast.selection import Selection, is_never_packed, select_files
from cast.text import byte_size, counted

_NOT_FOUND, _CONFLICT = 404, 409


def deploy(
    slug: Annotated[
        str | None,
        typer.Argument(metavar="SLUG", help="Instead of the one in castari.json.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="The agent's folder.", show_default="here")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait.")
    ] = 900,
    as_json: AsJson = False,
) -> None:
    """Deploy a folder and wait until it is active; of a git agent, what its repository holds now.

    What .gitignore and .castariignore name is left out, and so are node_modules, .git, .env and key files.
    """
    manifest = None if slug and folder is None else read_manifest(folder or Path())
    with Api(configuration.connection()) as api:
        known = _known(api, slug) if slug and manifest is None else None
        if known and known["source_type"] == "git":
            agent = _deploy_repository(api, known, timeout)
        else:
            folder = folder or Path()
            agent = _deploy_folder(api, slug, folder, manifest or read_manifest(folder), timeout)
    if as_json:
        console.result_json(agent)
    else:
        source = (agent["source_hash"] or "")[:12]
        console.result(f"{agent['slug']} is active: version {agent['active_version']}, {source}")
        console.note(f"try it: cast invoke {agent['slug']} 'Hello'")


def _deploy_repository(api: Api, before: Json, timeout: float) -> Json:
    """Have a git agent's branch cloned and built; nothing of this machine goes along."""
    path = agent_path(before["slug"])
    newest = newest_version(api, path)
    branch = f", branch {before['git_branch']}" if before["git_branch"] else ""
    console.note(f"from {before['git_repo_url']}{branch}")
    api.post(f"{path}/deploy", {})
    return _built(api, before, None, newest, timeout)


def _deploy_folder(api: Api, slug: str | None, folder: Path, manifest: Manifest, timeout: float) -> Json:
    slug = slug or manifest.slug
    path = agent_path(slug)
    with tempfile.TemporaryDirectory(prefix="cast-") as scratch:
        bundle = _pack(folder, manifest, Path(scratch) / "bundle.tar.gz")
        before = _agent(api, path, slug, manifest)
        newest = newest_version(api, path)
        source_hash = _upload(api, path, bundle)
    return _built(api, before, source_hash, newest, timeout)


def _built(api: Api, before: Json, source_hash: str | None, newest: Json | None, timeout: float) -> Json:
    """Follow a build to its end; return the agent. Raises `CastError` with the platform's reason."""
    path = agent_path(before["slug"])
    with console.step("building") as step:
        told = Told(step.line, step.status)
        build = Build(api, path, source_hash, newest["id"] if newest else None, told)
        return _wait(build, before, timeout, step)


def _pack(folder: Path, manifest: Manifest, target: Path) -> Bundle:
    with console.step("packing") as step:
        selection = select_files(folder)
        _check(selection, manifest)
        bundle = pack(folder, selection.files, target)
        step.outcome = f"packed {counted(len(selection.files), 'file')}, {byte_size(bundle.size_bytes)}"
    _warn(selection)
    return bundle


def _check(selection: Selection, manifest: Manifest) -> None:
    for needed in (FILE_NAME,) if manifest.is_built else (FILE_NAME, manifest.entrypoint):
        if PurePosixPath(needed) not in selection.files:
            raise CastError(f"{needed} is left out of the bundle, and the agent needs it", _way_back(needed))


def _way_back(path: str) -> str:
    parts = PurePosixPath(path).parts
    if any(is_never_packed(part) for part in parts):
        return "its name is one that is never packed: choose another"
    # A pattern cannot bring back what is below an excluded folder, so it names the folder.
    return f"an ignore file excludes it: the line `!/{parts[0]}` in .castariignore brings it back"


def _warn(selection: Selection) -> None:
    if selection.secrets:
        console.warn(
            f"left out, for they may hold secrets: {_named(selection.secrets)} (use `cast secrets set`)"
        )
    if selection.links:
        console.warn(f"left out, for they are links or no files: {_named(selection.links)}")


def _named(paths: list[PurePosixPath], most: int = 5) -> str:
    rest = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(map(str, paths[:most])) + rest


def _known(api: Api, slug: str) -> Json | None:
    """Return the agent, if there is one."""
    try:
        return api.get(agent_path(slug))
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


def _agent(api: Api, path: str, slug: str, manifest: Manifest) -> Json:
    """Return the agent, made when there is none."""
    if known := _known(api, slug):
        return known
    try:
        with console.step(f"creating {slug}") as step:
            made = api.post("/agents", {"name": manifest.name, "slug": slug, "source_type": "local"})
            step.outcome = f"created {slug}"
            return made
    except ApiError as error:
        # Another deploy made it between the two requests.
        if error.status != _CONFLICT:
            raise
        return api.get(path)


def _upload(api: Api, path: str, bundle: Bundle) -> str:
    with console.step(f"uploading {byte_size(bundle.size_bytes)}") as step:
        source_hash = uploads.upload(api, path, bundle)
        step.outcome = f"uploaded {source_hash[:12]}"
        return source_hash


def _wait(build: Build, before: Json, timeout: float, step: Step) -> Json:
    try:
        agent = uploads.active_agent(build, before, patience_seconds=timeout, progress=step.progress)
        version = build.version()
    except KeyboardInterrupt:
        console.note(f"the deploy goes on: `cast agents get {before['slug']}` shows it")
        raise
    unchanged = before.get("source_hash") == build.source_hash
    otherwise = "nothing changed, it serves already" if unchanged else "built, and switched to it"
    step.outcome = summary(version) if version else otherwise
    return agent
