"""Makes the entrypoint start fast: esbuild turns it and its dependencies into one file."""

import json
from pathlib import Path
from typing import Any

from runner.stacks import BUNDLE_STEM

from builder import command, native
from builder.environment import plain
from builder.failure import StepFailed
from builder.package import read_package
from builder.places import Places

_SECONDS = 120
_TYPESCRIPT = frozenset({".ts", ".tsx", ".mts", ".cts", ".jsx"})
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
    target = str(Path(entrypoint).with_name(f"{BUNDLE_STEM}{'.mjs' if module else '.cjs'}"))
    natives = native.packages(places.agent / "node_modules")
    whole = _esbuild(places, entrypoint, target, [f"--external:{name}" for name in natives])
    used = native.imported(places.esbuild_report, natives) if whole.exit_code == 0 else []
    if whole.exit_code == 0 and native.are_found_from(places.agent, natives, used):
        kept = f", beside it {', '.join(used)}" if used else ""
        return ["node", target], f"one file by esbuild{kept}"
    own = _esbuild(places, entrypoint, target, ["--packages=external"])
    if own.exit_code == 0:
        return ["node", target], "one file by esbuild, dependencies beside it: they cannot be bundled"
    return _unbundled(places, entrypoint, own)


def _unbundled(places: Places, entrypoint: str, ended: command.Ended) -> tuple[list[str], str]:
    """Fall back to running the sources, unless they cannot run at all."""
    if "Could not resolve" not in ended.tail:
        raise StepFailed(
            "esbuild cannot read the agent's code", "mend what it names and deploy again", ended.tail
        )
    why = "which starts slower: esbuild could not resolve an import"
    if Path(entrypoint).suffix not in _TYPESCRIPT:
        return ["node", entrypoint], f"not bundled, runs as `node {entrypoint}`, {why}"
    return ["node", "--import", _tsx(places), entrypoint], f"not bundled, runs as `node --import tsx`, {why}"


def _esbuild(places: Places, entrypoint: str, target: str, more: list[str]) -> command.Ended:
    module = target.endswith(".mjs")
    words = [
        *("esbuild", entrypoint, "--bundle", "--platform=node", "--target=node20", f"--outfile={target}"),
        *(
            f"--metafile={places.esbuild_report}",
            "--sourcemap",
            "--sources-content=false",
            "--legal-comments=none",
            "--log-level=warning",
            "--color=false",
        ),
        *(["--format=esm", f"--banner:js={_ESM_BANNER}"] if module else ["--format=cjs"]),
        *more,
    ]
    ended = command.run(words, places.agent, plain(places), _SECONDS)
    if ended.exit_code is None:
        raise StepFailed(f"esbuild {ended.how}", "make the agent's code smaller", ended.tail)
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
