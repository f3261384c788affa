"""Brings a deployed agent's bundled file to the host, to be run there by bare node."""

from pathlib import Path

from bench.agents import BenchAgent

RUN_FILE = "/home/user/.castari/run"


def fetch_bundle(agent: BenchAgent, folder: Path) -> Path:
    """Read the file that the active version runs out of a sandbox made from its snapshot."""
    snapshot = agent.private_row()["active_version"]["snapshot_id"]
    with agent.stack.e2b.Sandbox.create(snapshot, timeout=60) as sandbox:
        home, *command = sandbox.files.read(RUN_FILE).split("\0")[:-1]
        entry = command[-1]
        bundle = folder / Path(entry).name
        bundle.write_text(sandbox.files.read(f"{home}/{entry}"))
    return bundle
