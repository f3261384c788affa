"""Where things stand in a sandbox; the control plane knows the run file."""

from pathlib import Path


class Places:
    """The paths below one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.agent = home / "agent"
        self.work = home / ".castari"
        self.bundle = self.work / "bundle"
        self.run_file = self.work / "run"
        self.npm_cache = self.work / "npm-cache"

    def remove_traces(self) -> None:
        """Leave nothing in the snapshot that only the build needed."""
        import shutil

        self.bundle.unlink(missing_ok=True)
        shutil.rmtree(self.npm_cache, ignore_errors=True)
