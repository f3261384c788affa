"""Holds the import rule: functions → bootstrap → services → adapters, with models and errors innermost."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"castari": ROOT / "layers/application", "functions": ROOT, "cast": ROOT / "cli", "local": ROOT}
_INNERMOST = {
    f"castari.{name}"
    for name in ("addresses", "callback_urls", "clock", "durations", "errors", "ids", "manifest", "messages")
} | {"castari.models", "castari.reports"}


@dataclass(frozen=True)
class Layer:
    """Modules below `name`: what they may import of ours, and of what others made."""

    name: str
    ours: set[str]
    vendors: set[str]


LAYERS = [
    Layer("castari.schemas", _INNERMOST | {"castari.schemas"}, set()),
    Layer(
        "castari.adapters",
        _INNERMOST | {"castari.settings", "castari.adapters"},
        {"botocore", "types_boto3", "e2b", "httpx", "cryptography", "httpcore", "standardwebhooks"},
    ),
    Layer(
        "castari.services",
        _INNERMOST | {"castari.settings", "castari.adapters", "castari.schemas", "castari.services"},
        set(),
    ),
    Layer(
        "castari.http",
        _INNERMOST
        | {"castari.adapters.tables.api_keys", "castari.http", "castari.observability"}
        | {"castari.schemas", "castari.services"},
        {"aws_lambda_powertools"},
    ),
    Layer("castari.observability", set(), {"aws_lambda_powertools"}),
    Layer("castari.batches", {"castari.errors", "castari.observability"}, {"aws_lambda_powertools"}),
    Layer("castari.bootstrap", {"castari"}, set()),
    Layer("castari.bootstrap.clients", {"castari"}, {"boto3", "types_boto3"}),
    Layer("castari.admin", {"castari"}, set()),
    Layer("castari", _INNERMOST, set()),
    Layer(
        "functions",
        _INNERMOST
        | {
            "castari.bootstrap",
            "castari.http",
            "castari.observability",
            "castari.schemas",
            "castari.services",
            "castari.triggers",
        }
        | {"castari.batches", "functions.openapi_operations", "routes"},
        {"aws_lambda_powertools"},
    ),
    Layer("cast", {"cast", "castari.schemas"}, {"httpx", "pathspec", "rich", "typer"}),
    Layer("local.demo", {"local"}, {"boto3", "botocore", "e2b", "httpx"}),  # it does what a user does
    Layer("local.sandboxes.top", {"local"}, {"rich"}),
    Layer("local", {"local"}, {"aiohttp", "boto3", "botocore", "psutil", "pyseccomp", "types_boto3", "yaml"}),
]
"""A module belongs to the most exact layer. The standard library and pydantic are everybody's."""
VENDORS = {vendor for layer in LAYERS for vendor in layer.vendors} | {"requests", "fastapi", "flask"}
OWN = {"castari", "functions", "routes", "cast", "local", "tests", "bench"}
READERS_OF_THE_ENVIRONMENT = {"castari.bootstrap.settings", "castari.admin", "castari.observability"}


def _within(module: str, parent: str) -> bool:
    return module == parent or module.startswith(f"{parent}.")


def _layer(module: str) -> Layer:
    return max((each for each in LAYERS if _within(module, each.name)), key=lambda each: len(each.name))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def _allowed(module: str, layer: Layer) -> bool:
    vendor = module.partition(".")[0]
    if vendor in OWN:
        return any(_within(module, ours) for ours in layer.ours)
    if vendor.startswith(("types_boto3", "mypy_boto3")):
        vendor = "types_boto3"
    return vendor not in VENDORS or vendor in layer.vendors


def violations(module: str, source: str) -> list[str]:
    """Return what a module imports or reads although its layer may not."""
    tree, layer = ast.parse(source), _layer(module)
    found = [f"{module} imports {name}" for name in _imports(tree) if not _allowed(name, layer)]
    if module.startswith("castari") and module not in READERS_OF_THE_ENVIRONMENT:
        found += [
            f"{module} reads the environment"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        ]
    return found


def _modules() -> Iterator[tuple[str, Path]]:
    for package, base in SOURCES.items():
        for path in sorted((base / package).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_every_module_imports_only_what_its_layer_may() -> None:
    modules = list(_modules())
    assert len(modules) > 100
    assert [text for module, path in modules for text in violations(module, path.read_text())] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("castari.adapters.queues", "from castari.services.agents import Agents"),
        ("castari.adapters.queues", "from castari import bootstrap"),
        ("castari.services.agents", "import boto3"),
        ("castari.services.agents", "from botocore.exceptions import ClientError"),
        ("castari.services.agents", "def f():\n    from e2b import AsyncSandbox"),
        ("castari.services.agents", "if TYPE_CHECKING:\n    from types_boto3_sqs import SQSClient"),
        ("castari.services.agents", "from castari.http.answers import answer"),
        ("castari.services.agents", "import os\nx = os.environ['A']"),
        ("castari.models", "from castari.settings import Settings"),
        ("castari.errors", "from castari.adapters.aws import aws_errors"),
        ("castari.schemas.agents", "from castari.services.agents import Agents"),
        ("castari.bootstrap.vendor", "import e2b"),
        ("functions.api.app", "from castari.adapters.queues import Queue"),
        ("functions.api.routes.agents", "import boto3"),
        ("functions.invoke.app", "import local.sandboxes"),
        ("cast.main", "from castari.models import Agent"),
        ("cast.main", "import boto3"),
        ("local.stack", "from castari import settings"),
        ("local.sandboxes.engine", "import e2b"),
        ("castari.adapters.sandboxes", "import local"),
    ],
)
def test_a_broken_rule_is_seen(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("castari.services.agents", "from castari.adapters.queues import Queue"),
        ("castari.adapters.queues", "from botocore.exceptions import ClientError"),
        ("castari.bootstrap.clients", "def f():\n    import boto3"),
        ("functions.api.app", "from castari import bootstrap"),
        ("cast.main", "from castari.schemas.agents import AgentCreate"),
    ],
)
def test_what_the_rule_allows_is_let_through(module: str, source: str) -> None:
    assert violations(module, source) == []
