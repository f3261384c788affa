"""What a jail does to its own process before it is locked in."""

import subprocess
import sys
from pathlib import Path

IMPORT = """
import sys
from local.sandboxes.namespaces.jail import import_nothing_more
sys.path.insert(0, sys.argv[1])
import harmless
import_nothing_more()
try:
    import planted
except ImportError:
    print("refused")
try:
    import package.planted
except ImportError:
    print("refused")
import harmless, sys, time
"""


def test_nothing_that_an_agent_could_plant_is_imported(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").touch()
    for name in ("harmless", "planted", "package/planted"):
        (tmp_path / f"{name}.py").write_text("print('imported')\n")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["imported", "refused", "refused"]
