"""What the makefiles build runs by itself, for the local interpreter and for Lambda's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import deployment, ministack, packaging
from local.places import REPOSITORY, Places

_FUNCTIONS = sorted(path.parent.name for path in (REPOSITORY / "functions").glob("*/app.py"))
_IMPORT = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
import app
assert callable(app.handler)
# Also what functions import late.
import castari
for module in pkgutil.walk_packages(castari.__path__, "castari."):
    importlib.import_module(module.name)
foreign = [
    module.__file__ for module in list(sys.modules.values())
    if getattr(module, "__file__", None) and "site-packages" in module.__file__
]
assert not foreign, foreign
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    made = Places(tmp_path_factory.mktemp("packaging"))
    made.make()
    ministack.install(made)
    yield made
    shutil.rmtree(made.root)


@pytest.fixture(scope="module")
def archives(places: Places) -> dict[str, Path]:
    return packaging.build(deployment.load_template(), places)


def _tree(logical_id: str, places: Places) -> Path:
    (found,) = [
        path for path in places.builds.iterdir() if path.is_dir() and path.name.startswith(f"{logical_id}-")
    ]
    return found


def _make(folder: str, target: str, **variables: str | Path) -> None:
    words = [f"{name}={value}" for name, value in variables.items()]
    command = [
        "make",
        "--silent",
        "-C",
        str(REPOSITORY / folder),
        target,
        f"UV={Path(sys.executable).parent}/uv",
    ]
    subprocess.run([*command, *words], check=True, capture_output=True)


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_a_built_function_imports_with_nothing_but_its_layers(
    archives: dict[str, Path], places: Places, function: str
) -> None:
    logical_id = f"{function.capitalize()}Function"
    assert logical_id in archives
    trees = [_tree(logical_id, places)]
    trees += [_tree(layer, places) / "python" for layer in ("ApplicationLayer", "DependenciesLayer")]
    ran = subprocess.run(
        [ministack.interpreter(places), "-I", "-S", "-c", _IMPORT, *trees],
        env={"AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_TRACE_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_the_same_code_is_built_to_the_same_archives(archives: dict[str, Path], places: Places) -> None:
    before = {name: (path.name, path.read_bytes()) for name, path in archives.items()}
    again = packaging.build(deployment.load_template(), places)
    assert {name: (path.name, path.read_bytes()) for name, path in again.items()} == before


def test_modules_of_a_layer_are_compiled_and_stay_valid_when_unpacked(
    archives: dict[str, Path], places: Places
) -> None:
    assert "ApplicationLayer" in archives
    tree = _tree("ApplicationLayer", places)
    (compiled,) = (tree / "python" / "castari" / "__pycache__").glob("settings.*.pyc")
    flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
    assert flags == 0b01  # checked by hash, and not checked at run time: PEP 552


def test_the_layer_for_lambda_holds_binaries_for_its_interpreter_and_processor(tmp_path: Path) -> None:
    _make("layers/dependencies", "build-DependenciesLayer", ARTIFACTS_DIR=tmp_path)
    binaries = [path for path in tmp_path.rglob("*.so") if "abi3" not in path.name]
    assert binaries
    assert {path.name.split(".", 1)[1] for path in binaries} == {"cpython-313-aarch64-linux-gnu.so"}
    for path in tmp_path.rglob("*.so"):
        assert path.read_bytes()[18:20] == b"\xb7\x00", path  # EM_AARCH64 in the ELF header


def _python_for_lambda() -> str | None:
    """Return a Python 3.13 of this machine that really starts: version managers leave empty shims."""
    found = shutil.which("python3.13")
    candidates = [found] if found else []
    candidates += [str(path) for path in Path.home().glob(".pyenv/versions/3.13*/bin/python3.13")]
    for candidate in candidates:
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


@pytest.mark.skipif(_python_for_lambda() is None, reason="no Python 3.13 on this machine")
def test_the_same_makefiles_build_for_lambdas_version_of_python(tmp_path: Path) -> None:
    python = _python_for_lambda()
    assert python
    platform = f"{os.uname().machine}-manylinux_2_34"
    layers, function = tmp_path / "layers", tmp_path / "function"
    for folder, target in (("dependencies", "DependenciesLayer"), ("application", "ApplicationLayer")):
        _make(f"layers/{folder}", f"build-{target}", ARTIFACTS_DIR=layers, PYTHON=python, PLATFORM=platform)
    _make("functions", "build-InvokeFunction", ARTIFACTS_DIR=function, PYTHON=python)
    ran = subprocess.run(
        [python, "-I", "-S", "-c", _IMPORT, function, layers / "python"],
        env={"AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_TRACE_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
