"""A git server in a network namespace of its own, at a public address: the rules stay as in production."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.places import REPOSITORY
from tests.e2e.product.certificates import Certificates, make_certificates
from tests.e2e.product.namespaces import linked_namespace

# Of the block of AMT relays (RFC 7450), anycast on the internet: while a test runs, a link of its own comes
# before them. The blocks for documentation are nobody's, but no Git host may be there.
_HOST, _SERVER, _PORT = "192.52.193.1", "192.52.193.2", "8443"


@dataclass(frozen=True)
class GitHost:
    """Repositories under `public/`, `private/` and `moved/` of one server."""

    folder: Path
    certificates: Certificates

    def url(self, path: str) -> str:
        return f"https://{_SERVER}:{_PORT}/{path}"

    def commit(self, path: str, files: Mapping[str, str], branch: str = "main") -> str:
        """Commit files to a branch of a repository, made when there is none; return the commit's id."""
        bare, tree = self.folder / path, self.folder / f"{path}-work"
        if not bare.exists():
            _git(self.folder, "init", "--bare", "--initial-branch=main", str(bare))
            _git(self.folder, "init", "--initial-branch=main", str(tree))
        _git(tree, "checkout", "-B", branch)
        for name, text in files.items():
            (tree / name).write_text(text)
        _git(tree, "add", "--all")
        _git(tree, "commit", "--allow-empty", "--message=Change it")
        _git(tree, "push", "--force", str(bare), branch)
        return _git(tree, "rev-parse", "HEAD").strip()


@contextmanager
def git_host(folder: Path) -> Iterator[GitHost]:
    """Serve the repositories that will be made in `folder`. Needs root."""
    host = GitHost(folder, make_certificates(_SERVER))
    (folder / "server.pem").write_text(host.certificates.server)
    with linked_namespace("git", _HOST, _SERVER) as namespace:
        server = subprocess.Popen(
            [
                *("ip", "netns", "exec", namespace, sys.executable, "-m", "tests.e2e.product.git_server"),
                *(str(folder), _SERVER, _PORT, str(folder / "server.pem")),
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        with server:
            try:
                assert server.stdout
                assert server.stdout.readline() == "serving\n"
                yield host
            finally:
                server.terminate()


def _git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout
