"""What the SDKs offer that talks to the server, and which of it this suite calls, both read and not run."""

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from e2b import (
    CommandHandle,
    Git,
    Sandbox,
    SandboxPaginator,
    Secret,
    SnapshotPaginator,
    Template,
    Volume,
    WatchHandle,
)
from e2b.sandbox_sync.commands.command import Commands
from e2b.sandbox_sync.commands.pty import Pty
from e2b.sandbox_sync.filesystem.filesystem import Filesystem
from e2b.template.main import TemplateBuilder

from tests.conformance.node import FOLDER

Surface = dict[str, set[str]]
"""Names of methods by the group that they belong to."""

PYTHON: dict[str, tuple[type, ...]] = {
    "sandbox": (Sandbox,),
    "commands": (Commands,),
    "command": (CommandHandle,),
    "pty": (Pty,),
    "files": (Filesystem,),
    "watch": (WatchHandle,),
    "git": (Git,),
    "pages": (SandboxPaginator, SnapshotPaginator),
    "template": (Template, TemplateBuilder),
    "Volume": (Volume,),
    "Secret": (Secret,),
}
JAVASCRIPT: dict[str, tuple[str, ...]] = {
    "sandbox": ("Sandbox", "SandboxApi"),
    "commands": ("Commands",),
    "command": ("CommandHandle",),
    "pty": ("Pty",),
    "files": ("Filesystem",),
    "watch": ("WatchHandle",),
    "git": ("Git",),
    "pages": ("Paginator", "SandboxPaginator", "SnapshotPaginator"),
    "template": ("TemplateBase", "TemplateBuilder", "TemplateFromImage"),
    "Volume": ("Volume",),
    "Secret": ("Secret",),
}

_VARIABLES = {
    **dict.fromkeys(("command", "handle", "joined", "late", "again", "terminal"), "command"),
    **dict.fromkeys(("watch", "_handle"), "watch"),
    **dict.fromkeys(("commands", "pty", "files", "git", "pages", "Volume", "Secret"), ""),
    **dict.fromkeys(("sandbox", "sandbox_class", "made", "source", "paused", "copy", "fork"), "sandbox"),
}
"""What the tests call an object of each group; a facet of a sandbox is called by its own name."""

_OWN_WORDS = {
    "create": ("sandbox", "create"),
    "build": ("template", "build"),
    "collect": ("files", "read"),
}
"""Calls that `Sdk` wraps."""


def offered_by_python() -> Surface:
    """Every public method of the sync SDK; the async one has the same, which a test holds."""
    return {group: {name for each in kinds for name in methods(each)} for group, kinds in PYTHON.items()}


def methods(kind: type) -> Iterator[str]:
    """The public methods of a class."""
    for name, _ in inspect.getmembers(kind, lambda each: callable(each) and not inspect.isclass(each)):
        if not name.startswith("_"):
            yield name


def offered_by_javascript() -> Surface:
    """Every public method that the JavaScript SDK declares to TypeScript."""
    declared = (FOLDER / "node_modules/e2b/dist/index.d.ts").read_text()
    return {
        group: {name for each in kinds for name in _declared(declared, each)}
        for group, kinds in JAVASCRIPT.items()
    }


def _declared(text: str, kind: str) -> set[str]:
    body = re.search(
        rf"^(?:declare |abstract )*(?:class|interface) {kind}\b.*?^}}", text, re.MULTILINE | re.DOTALL
    )
    assert body, f"the JavaScript SDK declares no {kind}"
    found = re.findall(r"^  (?:static |abstract )*(\w+)(?:<[^(\n]*>)?\(", body[0], re.MULTILINE)
    return set(found) - {"constructor"}


def called() -> Surface:
    """Every method that a case of the suite names where it calls it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for group, name in _calls(node):
                found[group].add(name)
    return found


def _calls(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Attribute):
        owner = getattr(node.value, "attr", None) or getattr(node.value, "id", "")
        if owner in _VARIABLES:
            yield _VARIABLES[owner] or owner, node.attr
    elif isinstance(node, ast.Call):
        yield from _wrapped_calls(node)
    elif isinstance(node, ast.Tuple):
        # Calls on a template's builder that a test takes from a list.
        yield from (("template", name) for name in _texts(node.elts[:1]))


def _wrapped_calls(call: ast.Call) -> Iterator[tuple[str, str]]:
    function = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    if function in ("step", "templates"):
        yield from (("template", name) for name in _texts(call.args[:1]))
    elif function == "stream_input":
        yield from ((str(getattr(each, "attr", "")), function) for each in call.args[:1])
    elif function in _OWN_WORDS:
        yield _OWN_WORDS[function]
    for each in call.keywords:
        if each.arg == "call":
            yield from (("template", name) for name in _texts([each.value]))


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    return (each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str))
