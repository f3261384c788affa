"""The definition of what every sandbox contains."""

import re

import pytest

from local.sandboxes.definition import load_definition


def test_a_sandbox_has_two_cores_two_gigabytes_and_ten_of_disk() -> None:
    definition = load_definition()
    assert (definition.cpu_count, definition.memory_mb, definition.disk_mb) == (2, 2048, 10_240)


@pytest.mark.parametrize(("machine", "platform"), [("x86_64", "linux-x64"), ("aarch64", "linux-arm64")])
def test_the_binaries_are_those_of_the_machine(machine: str, platform: str) -> None:
    definition = load_definition(machine=machine)
    assert definition.npm_packages[f"node-{platform}"].startswith("20.")
    assert definition.npm_commands["esbuild"] == f"@esbuild/{platform}/bin/esbuild"


def test_every_npm_package_is_pinned_to_one_version() -> None:
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in load_definition().npm_packages.values())


def test_what_is_copied_exists() -> None:
    assert all(copy.source.is_dir() for copy in load_definition().copies)
