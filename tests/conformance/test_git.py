"""The SDKs' `git`, over repositories that lie in the sandbox: they run the sandbox's own git."""

from typing import Any

import pytest
from e2b import CommandExitException, GitAuthException, GitUpstreamException, InvalidArgumentException

from tests.conformance.conftest import Sdk, until

PROTECTED = """
import http.server, os

class Protected(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Protected)
with open("port.new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename("port.new", "port")
server.serve_forever()
"""


async def written(sdk: Sdk, sandbox: Any, path: str = "repo", content: str = "x") -> None:
    """Make a repository with one commit."""
    await sdk(sandbox.git.init, path, initial_branch="main")
    await sdk(sandbox.files.write, f"{path}/file", content)
    await sdk(sandbox.git.add, path)
    await sdk(sandbox.git.commit, path, "the message", author_name="Ada", author_email="ada@example.com")


async def output(sdk: Sdk, sandbox: Any, command: str) -> str:
    return str((await sdk(sandbox.commands.run, command)).stdout)


async def test_a_new_repository_is_clean_and_on_its_branch(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.git.init, "repo", initial_branch="trunk")
    status = await sdk(sandbox.git.status, "repo")
    assert (status.current_branch, status.file_status) == ("trunk", [])


async def test_a_repository_can_be_bare(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.git.init, "bare", bare=True)
    assert await output(sdk, sandbox, "git -C bare rev-parse --is-bare-repository") == "true\n"


async def test_status_tells_what_changed(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    await sdk(sandbox.files.write, "repo/file", "changed")
    await sdk(sandbox.files.write, "repo/new", "x")
    status = await sdk(sandbox.git.status, "repo")
    assert {each.name: each.status for each in status.file_status} == {"file": "modified", "new": "untracked"}


async def test_a_commit_has_its_author_and_message(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    told = await output(sdk, sandbox, "git -C repo log --format='%an %ae %s'")
    assert told == "Ada ada@example.com the message\n"


async def test_only_the_files_that_were_named_are_added(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    await sdk(sandbox.files.write, "repo/a", "x")
    await sdk(sandbox.files.write, "repo/b", "x")
    await sdk(sandbox.git.add, "repo", files=["a"])
    assert await output(sdk, sandbox, "git -C repo diff --cached --name-only") == "a\n"


async def test_a_commit_of_nothing_fails_with_what_git_says(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    who = {"author_name": "Ada", "author_email": "ada@example.com"}
    with pytest.raises(CommandExitException) as caught:
        await sdk(sandbox.git.commit, "repo", "again", **who)
    assert "nothing to commit" in caught.value.stdout


async def test_the_configured_user_is_the_author(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.git.configure_user, "Grace", "grace@example.com")
    await sdk(sandbox.git.init, "repo")
    await sdk(sandbox.git.commit, "repo", "empty", allow_empty=True)
    assert await output(sdk, sandbox, "git -C repo log --format='%an %ae'") == "Grace grace@example.com\n"


async def test_settings_are_set_and_read(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.git.init, "repo")
    await sdk(sandbox.git.set_config, "pull.rebase", "true", scope="local", path="repo")
    assert await sdk(sandbox.git.get_config, "pull.rebase", scope="local", path="repo") == "true"
    assert await sdk(sandbox.git.get_config, "pull.rebase") is None


async def test_branches_are_made_changed_listed_and_deleted(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    await sdk(sandbox.git.create_branch, "repo", "feature")
    listed = await sdk(sandbox.git.branches, "repo")
    assert (sorted(listed.branches), listed.current_branch) == (["feature", "main"], "feature")
    await sdk(sandbox.git.checkout_branch, "repo", "main")
    await sdk(sandbox.git.delete_branch, "repo", "feature", force=True)
    listed = await sdk(sandbox.git.branches, "repo")
    assert (list(listed.branches), listed.current_branch) == (["main"], "main")


async def test_a_branch_that_does_not_exist_fails_with_what_git_says(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    with pytest.raises(CommandExitException, match="no-such"):
        await sdk(sandbox.git.checkout_branch, "repo", "no-such")


async def test_remotes_are_added_replaced_and_read(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.git.init, "repo")
    assert await sdk(sandbox.git.remote_get, "repo", "origin") is None
    await sdk(sandbox.git.remote_add, "repo", "origin", "/first")
    await sdk(sandbox.git.remote_add, "repo", "origin", "/second", overwrite=True)
    assert await sdk(sandbox.git.remote_get, "repo", "origin") == "/second"


async def test_what_is_pushed_is_cloned_and_pulled(sdk: Sdk, sandbox: Any) -> None:
    home = (await output(sdk, sandbox, "pwd")).strip()
    await sdk(sandbox.git.init, "hub", bare=True, initial_branch="main")
    await written(sdk, sandbox)
    await sdk(sandbox.git.remote_add, "repo", "origin", f"{home}/hub")
    await sdk(sandbox.git.push, "repo", remote="origin", branch="main")
    await sdk(sandbox.git.clone, f"{home}/hub", path="copy", branch="main")
    await sdk(sandbox.files.write, "repo/file", "more")
    await sdk(sandbox.git.add, "repo")
    await sdk(sandbox.git.commit, "repo", "more", author_name="Ada", author_email="ada@example.com")
    await sdk(sandbox.git.push, "repo")
    await sdk(sandbox.git.pull, "copy")
    assert await sdk(sandbox.files.read, "copy/file") == "more"


@pytest.mark.parametrize("call", ["pull", "push"])
async def test_a_branch_without_an_upstream_is_told_from_other_failures(
    sdk: Sdk, sandbox: Any, call: str
) -> None:
    await written(sdk, sandbox)
    await sdk(sandbox.git.remote_add, "repo", "one", "/one")
    options = {"set_upstream": False} if call == "push" else {}
    with pytest.raises(GitUpstreamException, match="upstream"):
        await sdk(getattr(sandbox.git, call), "repo", **options)


async def test_a_reset_takes_changes_back(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    await sdk(sandbox.files.write, "repo/file", "changed")
    await sdk(sandbox.git.reset, "repo", mode="hard", target="HEAD")
    assert await sdk(sandbox.files.read, "repo/file") == "x"


async def test_a_file_is_restored(sdk: Sdk, sandbox: Any) -> None:
    await written(sdk, sandbox)
    await sdk(sandbox.files.write, "repo/file", "changed")
    await sdk(sandbox.git.restore, "repo", paths=["file"])
    assert await sdk(sandbox.files.read, "repo/file") == "x"


async def test_a_password_without_a_user_is_refused(sdk: Sdk, sandbox: Any) -> None:
    with pytest.raises(InvalidArgumentException, match=r"[Uu]sername"):
        await sdk(sandbox.git.clone, "https://git.example.com/x.git", password="p")


async def test_a_server_that_wants_a_password_is_told_from_other_failures(sdk: Sdk, sandbox: Any) -> None:
    url = await _protected(sdk, sandbox)
    with pytest.raises(GitAuthException):
        await sdk(sandbox.git.clone, f"{url}/x.git", path="copy")


async def test_a_password_that_was_stored_is_sent(sdk: Sdk, sandbox: Any) -> None:
    url = await _protected(sdk, sandbox)
    host = url.removeprefix("http://")
    who = {"username": "ada", "password": "wrong"}
    await sdk(sandbox.git.dangerously_authenticate, **who, host=host, protocol="http")
    stored = f"printf 'protocol=http\nhost={host}\n\n' | git credential fill"
    assert "password=wrong" in await output(sdk, sandbox, stored)
    with pytest.raises(GitAuthException):
        await sdk(sandbox.git.clone, f"{url}/x.git", path="copy")


async def _protected(sdk: Sdk, sandbox: Any) -> str:
    """Let a server run that lets nobody in; returns its URL."""
    await sdk(sandbox.files.write, "protected.py", PROTECTED)
    await sdk(sandbox.commands.run, "python3 protected.py", background=True)

    async def listens() -> bool:
        return bool(await sdk(sandbox.files.exists, "port"))

    await until(listens)
    return f"http://127.0.0.1:{await sdk(sandbox.files.read, 'port')}"
