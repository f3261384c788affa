"""Packs the probe into one file that any Python 3.11 can run."""

import zipfile
from pathlib import Path

_PROBE = Path(__file__).parent / "probe"
_MAIN = "import sys\n\nfrom probe.cli import main\n\nsys.exit(main(sys.argv[1:]))\n"


def pack_probe(to: Path) -> Path:
    """Write the probe to `to` as a zip application, readable by everybody."""
    with zipfile.ZipFile(to, "w") as archive:
        archive.writestr("__main__.py", _MAIN)
        for module in sorted(_PROBE.glob("*.py")):
            archive.write(module, f"probe/{module.name}")
    to.chmod(0o644)
    return to
