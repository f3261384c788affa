"""Makes the entrypoint start fast: esbuild turns it and its dependencies into one file."""

import json
import os
from pathlib import Path
from typing import Any

from builder import command
from builder.failure import StepFailed
from builder.install import read_package
from builder.places import Places

_SECONDS = 120
_TYPESCRIPT = frozenset({".ts", ".tsx", ".mts", ".cts", ".jsx"})
_NATIVE = (".node", ".wasm", "binding.gyp")
"""Packages that hold such files find them relative to their own place, so they stay where they are."""
_ESM_BANNER = (
    'import{createRequire as __cr}from"node:module";import{fileURLToPath as __fp}from"node:url";'
    'import{dirname as __dn}from"node:path";const require=__cr(import.meta.url);'
    "const __filename=__fp(import.meta.url);const __dirname=__dn(__filename);"
)
"""CommonJS packages inside an ES module still ask for these."""


def bundle(places: Places, entrypoint: str) -> tuple[list[str], str]:
    """Return the command that runs the agent, and what was done, in words. Raises `StepFailed`."""
    if _asks_whether_it_is_main(places.agent / entrypoint):
        return ["node", entrypoint], "not bundled: it compares `require.main`, which a bundle changes"
    module = _is_module(places.agent, entrypoint)
    target = str(Path(entrypoint).with_name("castari-bundle" + (".mjs" if module else ".cjs")))
    external = native_packages(places.agent / "node_modules")
    whole = _esbuild(places, entrypoint, target, [f"--external:{name}" for name in external])
    if not whole.exit_code:
        kept = f", beside it {', '.join(external)}" if external else ""
        return ["node", target], f"one file by esbuild{kept}"
    own = _esbuild(places, entrypoint, target, ["--packages=external"])
    if not own.exit_code:
        return ["node", target], "one file by esbuild, dependencies beside it: they cannot be bundled"
    return _unbundled(places, entrypoint, own)


def _unbundled(places: Places, entrypoint: str, ended: command.Ended) -> tuple[list[str], str]:
    """Fall back to running the sources, unless they cannot run at all."""
    if "Could not resolve" not in ended.tail:
        raise StepFailed(
            "esbuild cannot read the agent's code", "mend what it names and deploy again", ended.tail
        )
    said = (
        "not bundled, runs as `node --import tsx`, which starts slower: esbuild could not resolve an import"
    )
    return ["node", "--import", _tsx(places), entrypoint], said


def _esbuild(places: Places, entrypoint: str, target: str, more: list[str]) -> command.Ended:
    module = target.endswith(".mjs")
    words = [
        *("esbuild", entrypoint, "--bundle", "--platform=node", "--target=node20", f"--outfile={target}"),
        *(
            "--sourcemap",
            "--sources-content=false",
            "--legal-comments=none",
            "--log-level=warning",
            "--color=false",
        ),
        *(["--format=esm", f"--banner:js={_ESM_BANNER}"] if module else ["--format=cjs"]),
        *more,
    ]
    kept = {"PATH", "LANG"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    ended = command.run(words, places.agent, environment | {"HOME": str(places.home)}, _SECONDS)
    if ended.exit_code is None:
        raise StepFailed(
            f"esbuild did not end within {_SECONDS} s", "make the agent's code smaller", ended.tail
        )
    return ended


def _is_module(folder: Path, entrypoint: str) -> bool:
    """Tell whether Node would load it as an ES module; TypeScript is written as one."""
    suffix = Path(entrypoint).suffix
    if suffix in {".cjs", ".cts"}:
        return False
    package: dict[str, Any] = read_package(folder) or {}
    return suffix in {".mjs", *_TYPESCRIPT} or package.get("type") == "module"


def _asks_whether_it_is_main(source: Path) -> bool:
    return source.suffix in {".js", ".cjs"} and b"require.main" in source.read_bytes()


def native_packages(modules: Path) -> list[str]:
    """Return the names of installed packages that hold native or WebAssembly files."""
    found = set()
    for folder, _, names in os.walk(modules):
        if any(name.endswith(_NATIVE) for name in names):
            parts = Path(folder).parts
            place = len(parts) - 1 - parts[::-1].index("node_modules")
            count = 2 if parts[place + 1 : place + 2] and parts[place + 1].startswith("@") else 1
            found.add("/".join(parts[place + 1 : place + 1 + count]))
    return sorted(found - {""})


def _tsx(places: Places) -> str:
    """Return tsx as `--import` wants it: the agent's own, else the sandbox's, which only a path names."""
    own = places.agent / "node_modules/tsx/package.json"
    shared = Path("/usr/local/lib/node_modules/tsx/package.json")
    if not own.is_file() and not shared.is_file():
        raise StepFailed(
            "esbuild could not resolve an import and tsx is not there", "add `tsx` to package.json"
        )
    manifest = own if own.is_file() else shared
    exported = json.loads(manifest.read_text("utf-8"))["exports"]["."]
    relative = exported if isinstance(exported, str) else exported["default"]
    return (manifest.parent / relative).as_uri()
