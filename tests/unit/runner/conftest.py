"""What the runner's tests share: a store of objects over HTTP, and runs that hand their results in there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runner.object_store import ObjectStore, running_object_store
from tests.unit.runner.runs import Run


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with running_object_store() as running:
        yield running


@pytest.fixture(params=["started by the shell", "taken over by a standby"])
def run(store: ObjectStore, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    run = Run(store, tmp_path, ahead=request.param == "taken over by a standby")
    yield run
    run.wait_for_standbys()
