"""Where things stand in a sandbox; the control plane knows the run file."""

from pathlib import Path


class Places:
    """The paths below one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.agent = home / "agent"
        self.work = home / ".castari"
        self.bundle = self.work / "bundle"
        self.repository = self.work / "repository"
        self.run_file = self.work / "run"
        self.esbuild_report = self.work / "esbuild.json"
        self.caches = self.work / "caches"
        """What package managers keep for a next time, which never comes."""

    def remove_traces(self) -> None:
        """Leave nothing in the snapshot that only the build needed."""
        import shutil

        for file in (self.bundle, self.esbuild_report):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.caches, ignore_errors=True)
