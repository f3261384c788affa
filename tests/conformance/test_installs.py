"""Steps that install: from what is there already, and what a user reads where nothing can be fetched."""

import uuid
from typing import Any

import pytest
from e2b.exceptions import BuildException

from tests.conformance.conftest import ENGINE, Sdk, step

pytestmark = [
    pytest.mark.local,
    pytest.mark.root,
    pytest.mark.skipif(ENGINE != "namespaces", reason="steps are only taken in real sandboxes: needs root"),
]

BASE = step("from_base_image")
NOWHERE = "http://10.0.0.1:1/"
"""A private address: no sandbox reaches it, and each is told so at once."""

NPM_PACKAGE = """
mkdir p && touch p/p.js
echo '{"name": "p", "version": "1.0.0", "bin": "p.js"}' > p/package.json
"""
PYTHON_PACKAGE = """
mkdir -p p/p && touch p/p/__init__.py
printf '[project]\nname = "p"\nversion = "1"\n' > p/pyproject.toml
"""
DEBIAN_PACKAGE = """
mkdir -p p/DEBIAN p/opt/p /srv/mirror && cd p
printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' > DEBIAN/control
dpkg-deb -b . /srv/mirror/p.deb && cp DEBIAN/control /srv/mirror/Packages && cd /srv/mirror
printf 'Filename: ./p.deb\nSize: %s\n' $(stat -c %s p.deb) >> Packages
printf 'SHA256: %s\n' $(sha256sum p.deb | cut -c -64) >> Packages
rm -r /etc/apt/sources.list*; echo 'deb [trusted=yes] file:/srv/mirror ./' > /etc/apt/sources.list
"""
"""Packed here, into a mirror that is a folder of the sandbox."""


@pytest.fixture
def name() -> str:
    return f"i-{uuid.uuid4().hex}"


async def test_debian_packages_are_installed(sdk: Sdk, name: str) -> None:
    mirror = step("run_cmd", DEBIAN_PACKAGE, user="root")
    packages = step("apt_install", ["p", "git"], no_install_recommends=True)
    assert await _in_sandbox(sdk, name, (mirror, packages), "ls -d /opt/p") == "/opt/p\n"


async def test_a_debian_package_that_no_mirror_has_is_named(sdk: Sdk, name: str) -> None:
    no_mirror = step("run_cmd", "rm -r /etc/apt/sources.list*", user="root")
    with pytest.raises(BuildException, match=r"step 2 \(RUN apt-get (?s:.*)Unable to locate package no-such"):
        await sdk.build(name, BASE, no_mirror, step("apt_install", "no-such"))


async def test_npm_installs_a_folder(sdk: Sdk, name: str) -> None:
    steps = (step("run_cmd", NPM_PACKAGE), step("npm_install", "./p"))
    assert await _in_sandbox(sdk, name, steps, "ls node_modules") == "p\n"


async def test_npm_installs_a_command_for_all(sdk: Sdk, name: str) -> None:
    steps = (step("run_cmd", NPM_PACKAGE), step("npm_install", "/home/user/p", g=True))
    assert await _in_sandbox(sdk, name, steps, "command -v p") == "/usr/local/bin/p\n"


async def test_an_npm_registry_that_is_out_of_reach_is_named(sdk: Sdk, name: str) -> None:
    away = step("set_envs", {"npm_config_registry": NOWHERE, "npm_config_fetch_retries": "0"})
    with pytest.raises(BuildException, match=r"step 2 \(RUN npm install no-such\)(?s:.*)10\.0\.0\.1"):
        await sdk.build(name, BASE, away, step("npm_install", "no-such"))


@pytest.mark.parametrize("for_all", [True, False])
async def test_pip_installs_a_folder(sdk: Sdk, name: str, for_all: bool) -> None:
    packages = ["--no-build-isolation", "/home/user/p"]
    steps = (step("run_cmd", PYTHON_PACKAGE), step("pip_install", packages, g=for_all))
    place = "/usr/local/lib" if for_all else "/home/user/.local/lib"
    told = await _in_sandbox(sdk, name, steps, "cd /; python3 -c 'import p; print(p.__file__)'")
    assert told.startswith(place)


async def test_a_python_package_that_no_index_has_is_named(sdk: Sdk, name: str) -> None:
    away = step("set_envs", {"PIP_INDEX_URL": NOWHERE, "PIP_TRUSTED_HOST": "10.0.0.1", "PIP_RETRIES": "0"})
    with pytest.raises(BuildException, match="No matching distribution found for no-such"):
        await sdk.build(name, BASE, away, step("pip_install", "no-such"))


async def test_a_tool_that_is_not_there_is_named(sdk: Sdk, name: str) -> None:
    with pytest.raises(
        BuildException, match=r"step 1 \(RUN bun install .*exit code 127:\n.*bun: command not"
    ):
        await sdk.build(name, BASE, step("bun_install", "no-such"))


async def test_a_repository_is_cloned(sdk: Sdk, name: str) -> None:
    commit = "git -c user.name=x -c user.email=x@example.com commit -qm x --allow-empty"
    steps = (
        step("run_cmd", f"git init -q -b trunk origin && cd origin && {commit}"),
        step("git_clone", "/home/user/origin", "/home/user/copy", branch="trunk"),
    )
    assert await _in_sandbox(sdk, name, steps, "git -C copy branch --show-current") == "trunk\n"


async def test_a_repository_that_is_out_of_reach_is_named(sdk: Sdk, name: str) -> None:
    with pytest.raises(BuildException, match=r"step 1 \(RUN git clone (?s:.*)10\.0\.0\.1"):
        await sdk.build(name, BASE, step("git_clone", f"{NOWHERE}x.git"))


async def test_a_step_after_skip_cache_is_taken_again(sdk: Sdk, name: str) -> None:
    draw = step("run_cmd", "cat /proc/sys/kernel/random/uuid > drawn")
    first = await _in_sandbox(sdk, name, (draw,), "cat drawn")
    assert await _in_sandbox(sdk, name, (draw,), "cat drawn") == first
    assert await _in_sandbox(sdk, name, (step("skip_cache"), draw), "cat drawn") != first


async def test_a_dockerfile_is_built(sdk: Sdk, name: str) -> None:
    dockerfile = "FROM debian:bookworm-slim\nENV COLOUR=red\nWORKDIR /app\nRUN echo $COLOUR > colour\n"
    await sdk.build(name, step("from_dockerfile", dockerfile))
    assert await _output(sdk, name, "cat /app/colour") == "red\n"


@pytest.mark.parametrize(
    "start",
    [
        step("from_alpine_image"),
        step("from_arch_image"),
        step("from_bun_image"),
        step("from_fedora_image"),
        step("from_image", "postgres:17", username="u", password="p"),
        step("from_python_image", "3.13"),
        step(
            "from_aws_registry",
            "1.dkr.ecr.us-east-1.amazonaws.com/x:1",
            access_key_id="a",
            secret_access_key="s",
            region="us-east-1",
        ),
        step("from_gcp_registry", "gcr.io/x/x:1", service_account_json={"type": "service_account"}),
    ],
    ids=lambda start: start[0],
)
async def test_images_that_nobody_pulls_are_refused_with_those_that_can_be_had(
    sdk: Sdk, name: str, start: Any
) -> None:
    with pytest.raises(BuildException, match=r"image '.*' can not be had: .*from_base_image\(\)"):
        await sdk.build(name, start, step("run_cmd", "true"))


@pytest.mark.parametrize(
    ("template", "start"),
    [
        ("mcp-gateway", step("add_mcp_server", "exa")),
        ("devcontainer", step("beta_dev_container_prebuild", "/app")),
        ("devcontainer", step("beta_set_dev_container_start", "/app")),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0],
)
async def test_templates_of_e2b_s_own_are_said_not_to_be_here(
    sdk: Sdk, name: str, template: str, start: Any
) -> None:
    with pytest.raises(BuildException, match=f"template '{template}' not found"):
        await sdk.build(name, step("from_template", template), start)


async def _in_sandbox(sdk: Sdk, name: str, steps: tuple[Any, ...], command: str) -> str:
    await sdk.build(name, BASE, *steps)
    return await _output(sdk, name, command)


async def _output(sdk: Sdk, name: str, command: str) -> str:
    sandbox = await sdk.create(name)
    try:
        return str((await sdk(sandbox.commands.run, command)).stdout)
    finally:
        await sdk(sandbox.kill)
