"""Builds layers and functions by their own makefiles, for the interpreter at hand."""

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILDS = ROOT / ".local" / "bench" / "build"


def layers() -> list[Path]:
    """Return the folders that a worker's path would hold for the two layers."""
    return [
        _make("layers/application", "ApplicationLayer", BUILDS / "application") / "python",
        _dependencies() / "python",
    ]


def function(name: str) -> Path:
    """Return the folder of one built function, such as `api`."""
    return _make("functions", f"{name.capitalize()}Function", BUILDS / name)


def _dependencies() -> Path:
    source = ROOT / "layers" / "dependencies"
    content = b"".join(path.read_bytes() for path in sorted(source.iterdir())) + sys.version.encode()
    target = BUILDS / f"dependencies-{hashlib.sha256(content).hexdigest()[:16]}"
    return target if target.exists() else _make("layers/dependencies", "DependenciesLayer", target)


def _make(folder: str, resource: str, target: Path) -> Path:
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    variables = {
        "ARTIFACTS_DIR": partial,
        "PYTHON": sys.executable,
        "PYTHON_VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
        "PLATFORM": f"{platform.machine()}-manylinux_2_34",
        "UV": Path(sys.executable).with_name("uv"),
    }
    words = [f"{name}={value}" for name, value in variables.items()]
    subprocess.run(["make", "--silent", "-C", ROOT / folder, f"build-{resource}", *words], check=True)
    shutil.rmtree(target, ignore_errors=True)
    return partial.rename(target)
