"""Agents in every language and of every package manager deploy and answer; each step says what it did."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

import pytest

from local.demo.stage import EXAMPLES, Stage
from tests.e2e.product.agents import MANIFEST, PACKAGE, Agents, bundle

MODULE = json.dumps({**PACKAGE, "type": "module"})
pytestmark = [pytest.mark.stack, pytest.mark.root]


@pytest.mark.parametrize(
    ("example", "install"),
    [
        ("hello", "`npm ci`"),
        ("javascript-hello", "`npm ci`"),
        ("pnpm-hello", "`pnpm install`"),
        ("yarn-hello", "`yarn install`"),
        ("python-hello", "`pip install` of requirements.txt"),
    ],
)
def test_an_example_deploys_and_answers(stage: Stage, agents: Agents, example: str, install: str) -> None:
    slug = agents.deploy_folder(example, EXAMPLES / example)
    assert "Hello, Ada!" in stage.invoke(slug, "Ada")["response_content"]
    assert _steps(stage, slug)["install"] == install


def test_installed_packages_are_shared_by_versions_with_the_same_lockfile(
    stage: Stage, agents: Agents
) -> None:
    files = {
        "castari.json": _manifest(entrypoint="main.py", runtime="python"),
        "requirements.txt": "tabulate==0.9.0\n",
    }
    slug = agents.deploy_files("python", {**files, "main.py": "import tabulate; print('first')"})
    agent = agents.upload(slug, bundle(files | {"main.py": "import tabulate; print('second')"}))
    assert agent["status"] == "active", agent["status_message"]
    assert stage.invoke(slug, "x")["response_content"] == "second\n"
    assert "install" not in _steps(stage, slug)


def test_a_python_project_is_installed_from_its_pyproject(stage: Stage, agents: Agents) -> None:
    project = """
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"
        [project]
        name = "greeter"
        version = "1.0"
        requires-python = ">=3.11"
        dependencies = ["tabulate"]
        [tool.setuptools.package-dir]
        "" = "src"
    """
    slug = agents.deploy_files(
        "python",
        {
            "castari.json": _manifest(entrypoint="main.py", runtime="python"),
            "pyproject.toml": project,
            "src/greeter/__init__.py": "import tabulate\nWORD = 'hi'",
            "main.py": "import greeter\nprint(greeter.WORD)",
        },
    )
    assert stage.invoke(slug, "x")["response_content"] == "hi\n"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"main.py": "def broken(:"}, "main.py"),
        ({"main.py": "", "requirements.txt": f"no-such-{secrets.token_hex(6)}==1"}, "pip install failed"),
        ({"main.py": "", "pyproject.toml": '[project]\nrequires-python = ">=3.99"'}, "Python 3.99"),
    ],
    ids=["syntax", "install", "python-version"],
)
def test_a_python_bundle_that_cannot_run_ends_in_an_error_that_names_why(
    agents: Agents, files: Mapping[str, str], named: str
) -> None:
    manifest = {"castari.json": _manifest(entrypoint="main.py", runtime="python")}
    agent = agents.upload(agents.create("python"), bundle({**manifest, **files}))
    assert agent["status"] == "error"
    assert named in agent["status_message"]


def test_a_lockfile_of_yarn_1_is_installed_by_yarn_1(stage: Stage, agents: Agents) -> None:
    files = {
        "yarn.lock": "# yarn lockfile v1\n",
        "package.json": json.dumps(
            PACKAGE | {"scripts": {"postinstall": "echo $npm_config_user_agent >agent"}}
        ),
        "index.js": "console.log(require('fs').readFileSync('agent', 'utf8'))",
    }
    slug = agents.deploy_files("yarn", files)
    assert stage.invoke(slug, "x")["response_content"].startswith("yarn/1.")


def test_a_build_script_runs_only_where_castari_json_asks_for_it(stage: Stage, agents: Agents) -> None:
    package = _package(build="echo 'console.log(1+1)' >index.js")
    files = {"package.json": package, "index.js": "console.log('as it was')"}
    slug = agents.deploy_files("build", files)
    assert stage.invoke(slug, "x")["response_content"] == "as it was\n"
    agent = agents.upload(slug, bundle(files | {"castari.json": _manifest(build=True)}))
    assert agent["status"] == "active", agent["status_message"]
    assert stage.invoke(slug, "x")["response_content"] == "2\n"


def test_a_build_script_that_fails_is_named_with_the_end_of_its_output(agents: Agents) -> None:
    package = _package(build="echo it is broken; exit 3")
    manifest = _manifest(build=True)
    slug = agents.create("build")
    agent = agents.upload(slug, bundle({"package.json": package, "castari.json": manifest}))
    assert agent["status"] == "error"
    assert "`npm run build` ended with exit code 3" in agent["status_message"]
    assert "it is broken" in agent["status_message"]


def test_an_import_that_only_exists_at_run_time_falls_back_to_tsx_and_says_so(
    stage: Stage, agents: Agents
) -> None:
    source = """
        import { writeFileSync } from "node:fs";
        writeFileSync("made.mjs", "export const word = 'late'");
        const made: { word: string } = await import("./made.mjs");
        console.log(made.word);
    """
    files = {"castari.json": _manifest(entrypoint="index.ts"), "package.json": MODULE, "index.ts": source}
    slug = agents.deploy_files("tsx", files)
    assert stage.invoke(slug, "x")["response_content"] == "late\n"
    assert "node --import tsx" in _steps(stage, slug)["bundle"]


def test_a_stack_trace_names_the_line_of_the_source(stage: Stage, agents: Agents) -> None:
    source = "type Word = string;\n\nfunction fail(word: Word) {\n  throw new Error(word);\n}\nfail('oh');\n"
    manifest = _manifest(entrypoint="src/index.ts")
    files = {"castari.json": manifest, "package.json": MODULE, "src/index.ts": source}
    slug = agents.deploy_files("stack", files)
    answer = stage.invoke(slug, "x")
    assert answer["status"] == "failed"
    assert "src/index.ts:4:9" in answer["stderr_tail"]
    assert "castari-bundle" not in answer["stderr_tail"]


def test_a_key_that_is_misspelt_in_castari_json_is_a_warning(stage: Stage, agents: Agents) -> None:
    manifest = _manifest(buildSecrets=[])
    slug = agents.deploy_files("typo", {"castari.json": manifest, "index.js": "console.log(1)"})
    assert "did you mean `build_secrets`?" in json.dumps(stage.get(f"/agents/{slug}/versions")[0])


def _manifest(**changes: object) -> str:
    return json.dumps({**MANIFEST, **changes})


def _package(**scripts: str) -> str:
    return json.dumps({**PACKAGE, "scripts": scripts})


def _steps(stage: Stage, slug: str) -> dict[str, str]:
    """Return what each step of the newest version did."""
    newest: dict[str, Any] = stage.get(f"/agents/{slug}/versions")[0]
    return {step["name"]: step["note"] for step in newest["steps"]}
