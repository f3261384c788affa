"""Clones one branch of a git repository and packs it as a bundle, like one that somebody uploads."""

import subprocess
from typing import Any

from builder import command, git_settings
from builder.failure import StepFailed
from builder.places import Places

_PACK_SECONDS = 120


def clone(places: Places, job: dict[str, Any]) -> str:
    """Write the bundle; return which commit it is, in words. Raises `StepFailed`."""
    places.work.mkdir(parents=True, exist_ok=True)
    environment = git_settings.environment(places, job["url"], job["addresses"])
    branch = [f"--branch={job['branch']}"] if job["branch"] else []
    command.must_succeed(
        ["git", "clone", "--bare", "--depth=1", *branch, "--", job["url"], str(places.repository)],
        places.work,
        environment,
        job["clone_seconds"],
        what="git clone",
        shown="git clone",
        remedy="check `git_repo_url` and `git_branch`; a private repository needs the secret GIT_TOKEN,"
        " and one that redirects must be named by its final URL, which often ends with `.git`",
    )
    command.must_succeed(
        ["git", "archive", "--format=tar.gz", f"--output={places.bundle}", "HEAD"],
        places.repository,
        environment,
        _PACK_SECONDS,
        what="packing the repository",
        shown="git archive",
        remedy="make the repository smaller",
    )
    _check_size(places.bundle.stat().st_size, job["bundle_bytes"])
    return _describe(places, environment)


def _check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise StepFailed(
            f"the repository packs to {size_bytes} bytes, and {limit_bytes} are the limit",
            "mark what the agent does not need `export-ignore` in .gitattributes",
        )


def _describe(places: Places, environment: dict[str, str]) -> str:
    notes = [f"commit {_git(places, environment, 'rev-parse', '--short=12', 'HEAD').strip()}"]
    if _git(places, environment, "ls-tree", "HEAD", ".gitmodules"):
        notes.append("its submodules are left out")
    if "filter=lfs" in _git(places, environment, "show", "HEAD:.gitattributes"):
        notes.append("files in Git LFS are left as pointers")
    return "; ".join(notes)


def _git(places: Places, environment: dict[str, str], *words: str) -> str:
    """Return what a command of git prints, empty if it fails."""
    done = subprocess.run(
        ["git", *words], cwd=places.repository, env=environment, capture_output=True, check=False
    )
    return "" if done.returncode else done.stdout.decode("utf-8", "replace")
