"""Fixtures over the running stack: `make test` brings it up first."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import environment
from local.demo.stage import EXAMPLES, Stage
from local.places import REPOSITORY, Places
from tests.e2e.product.agents import Agents


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The stack that is up, with its first key."""
    places = Places(Path(os.environ.get("CASTARI_LOCAL", REPOSITORY / ".local")))
    try:
        variables = environment.read(places.environment)
    except FileNotFoundError:
        pytest.fail("no local stack is up: run `make up`, or `make test`, which does")
    opened = Stage(variables)
    yield opened
    opened.http.close()


@pytest.fixture(scope="session")
def agents(stage: Stage) -> Iterator[Agents]:
    """Deploys agents under names of their own, and deletes them at the end."""
    made = Agents(stage)
    yield made
    made.delete_all()


@pytest.fixture(scope="session")
def hello(agents: Agents) -> str:
    """The slug of a deployed `hello`."""
    return agents.deploy_folder("hello", EXAMPLES / "hello")


@pytest.fixture(scope="session")
def misbehaving(agents: Agents) -> str:
    """The slug of a deployed `misbehaving`."""
    return agents.deploy_folder("misbehaving", EXAMPLES / "misbehaving")
