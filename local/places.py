"""Where one local stack keeps its files; each stack has a folder of its own."""

import dataclasses
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Places:
    """The folders and files below one stack's `root`, readable by their owner alone."""

    root: Path

    @property
    def environment(self) -> Path:
        """The dotenv file with what clients of the stack need."""
        return self.root / "env"

    @property
    def identity(self) -> Path:
        """Names, ports and keys of the stack that is up."""
        return self.root / "identity.json"

    @property
    def pids(self) -> Path:
        """One file for each process of the stack."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One file for each process of the stack."""
        return self.root / "logs"

    @property
    def builds(self) -> Path:
        """Built layers and functions; kept between stacks."""
        return self.root / "build"

    @property
    def ministack_venv(self) -> Path:
        """The interpreter that runs ministack, and so the functions; kept between stacks."""
        return self.root / "ministack-venv"

    @property
    def temporary(self) -> Path:
        """The TMPDIR of ministack and of the workers that run functions."""
        return self.root / "tmp"

    @property
    def sandboxes(self) -> Path:
        """The sandbox server's root filesystem and disk; kept between stacks."""
        return self.root / "sandboxes"

    @property
    def sandbox_key(self) -> Path:
        """The API key that the sandbox server asks for."""
        return self.root / "sandbox-api-key"

    def make(self) -> None:
        """Make the folders that processes write to."""
        for folder in (self.root, self.pids, self.logs, self.builds, self.temporary, self.sandboxes):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace `path` at once with a file that only its owner can read."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)
