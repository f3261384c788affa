"""Examples, installed and bundled with the very tools that sandboxes have."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.sandboxes.rootfs import CACHE

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = REPOSITORY / "examples"
Answer = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Toolchain:
    """Node.js, npm and esbuild of the sandboxes' root filesystem, run on the host."""

    modules: Path

    @property
    def node(self) -> Path:
        return next(self.modules.glob("node-linux-*/bin/node"))

    def install(self, folder: Path) -> None:
        """Run npm in a folder: `ci` with a lock file, `install` without."""
        command = "ci" if (folder / "package-lock.json").exists() else "install"
        npm = self.modules / "npm/bin/npm-cli.js"
        self._run(self.node, npm, command, "--no-audit", "--no-fund", folder=folder)

    def check_types(self, folder: Path) -> None:
        self._run(self.node, "node_modules/typescript/bin/tsc", "--noEmit", folder=folder)

    def bundle(self, folder: Path, entrypoint: str) -> Path:
        """Return the one file that an entrypoint and its dependencies become."""
        target = folder / "bundle.mjs"
        esbuild = next(self.modules.glob("@esbuild/linux-*/bin/esbuild"))
        options = ("--bundle", "--platform=node", "--target=node20", "--format=esm", "--log-level=warning")
        self._run(esbuild, entrypoint, *options, f"--outfile={target}", folder=folder)
        return target

    def _run(self, *command: str | Path, folder: Path) -> None:
        path = f"{self.node.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command[1:3]} in {folder.name}:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    built = sorted(CACHE.glob("os-*/usr/local/lib/node_modules"), key=lambda path: path.stat().st_mtime)
    if not built:
        pytest.fail("no root filesystem is built: run `make up` once, as root")
    return Toolchain(built[-1])


@dataclass(frozen=True)
class Agent:
    """A bundled agent, run by node with an environment that holds nothing but what is given."""

    toolchain: Toolchain
    bundle: Path
    folder: Path

    def ask(self, prompt: str, *node_options: str, **environment: str) -> Answer:
        return subprocess.run(
            [self.toolchain.node, *node_options, self.bundle],
            cwd=self.folder,
            input=prompt,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="session")
def installed(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a copy of an example with its dependencies installed and its types checked."""
    ready: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in ready:
            folder = tmp_path_factory.mktemp("examples") / name
            shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("node_modules"))
            toolchain.install(folder)
            if (folder / "tsconfig.json").exists():
                toolchain.check_types(folder)
            ready[name] = folder
        return ready[name]

    return get


@pytest.fixture
def agent_of(toolchain: Toolchain, tmp_path: Path) -> Callable[[Path, str], Agent]:
    """Return an agent whose working folder is fresh, as in a sandbox."""

    def make(source: Path, entrypoint: str) -> Agent:
        folder = tmp_path / "agent"
        folder.mkdir()
        shutil.copy(source / "CLAUDE.md", folder)
        return Agent(toolchain, toolchain.bundle(source, entrypoint), folder)

    return make


@pytest.fixture
def stand_in() -> Mapping[str, str]:
    """The environment with which an agent speaks to a stand-in of the Messages API on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return {"ANTHROPIC_API_KEY": "stand-in", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
