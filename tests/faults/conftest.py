"""Fixtures over the running stack, around which AWS and the sandbox service are faulty."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from bench.counting_proxy import served
from bench.stack import Stack
from local import environment
from local.demo.stage import Stage
from local.places import REPOSITORY, Places
from tests.e2e.product.agents import Agents
from tests.faults.aws import FaultyAws, faulty_aws, rules
from tests.faults.sandboxes import FaultySandboxes
from tests.faults.uploads import FaultyUploads, faulty_uploads

_FUNCTIONS = ("Api", "Invoke", "Start", "Complete", "Sweep")
_AWS_VARIABLES = tuple(f"AWS_ENDPOINT_URL_{name}" for name in ("DYNAMODB", "S3", "SQS", "SECRETS_MANAGER"))
_E2B_VARIABLES = ("E2B_API_URL", "E2B_SANDBOX_URL")


@dataclass
class Faults:
    """What goes wrong for the functions; nothing does until `share` is set."""

    aws: FaultyAws
    uploads: FaultyUploads
    sandboxes: dict[str, FaultySandboxes] = field(default_factory=dict)

    def set_share(self, share: float) -> None:
        """Let this share of calls go wrong in each of their ways."""
        self.aws.set_rules(rules(share) if share else [])
        self.uploads.share = share
        for proxy in self.sandboxes.values():
            proxy.share = share

    @property
    def harmed(self) -> dict[str, list[str]]:
        """Return what was done to starts, by their sandbox."""
        return {name: how for proxy in self.sandboxes.values() for name, how in proxy.harmed.items()}

    def count(self) -> dict[str, int]:
        """Return how often each thing went wrong."""
        counts = self.aws.count()
        for fired in (self.uploads.fired, *(proxy.fired for proxy in self.sandboxes.values())):
            counts = counts | {name: counts.get(name, 0) + number for name, number in fired.items()}
        return counts


@pytest.fixture(scope="module")
def places() -> Places:
    return Places(Path(os.environ.get("CASTARI_LOCAL", REPOSITORY / ".local")))


@pytest.fixture(scope="module")
def stage(places: Places) -> Iterator[Stage]:
    opened = Stage(environment.read(places.environment))
    yield opened
    opened.http.close()


@pytest.fixture(scope="module")
def stack(stage: Stage) -> Stack:
    return Stack(stage.environment, stage.http)


@pytest.fixture(scope="module")
def agents(stage: Stage) -> Iterator[Agents]:
    made = Agents(stage)
    yield made
    made.delete_all()


@pytest.fixture
def faults(stack: Stack, places: Places, tmp_path: Path) -> Iterator[Faults]:
    """The functions' ways to the outside lead through what can go wrong, until the test ends."""
    env = stack.env
    with ExitStack() as opened:
        aws = opened.enter_context(faulty_aws(env["AWS_ENDPOINT_URL"], tmp_path / "microburst.log"))
        made = Faults(aws, opened.enter_context(faulty_uploads(places)))
        for name in _E2B_VARIABLES:
            proxy = FaultySandboxes(
                env[name],
                api_url=env["E2B_API_URL"],
                api_key=env["E2B_API_KEY"],
                random=Random(os.environ.get("FAULTS_SEED", "5")),  # noqa: S311 - guards nothing
            )
            made.sandboxes[name] = opened.enter_context(served(proxy))
        led = dict.fromkeys(_AWS_VARIABLES, made.aws.url) | {
            name: proxy.url for name, proxy in made.sandboxes.items()
        }
        for function in _FUNCTIONS:
            opened.enter_context(_redirected(stack, function, led))
        yield made


@contextmanager
def _redirected(stack: Stack, noun: str, led: dict[str, str]) -> Iterator[None]:
    function = stack.function(noun)
    variables = function["Environment"]["Variables"]
    try:
        _set(stack, function["FunctionName"], variables | led)
        yield
    finally:
        _set(stack, function["FunctionName"], variables)


def _set(stack: Stack, function: str, variables: dict[str, str]) -> None:
    stack.functions.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    stack.functions.get_waiter("function_updated_v2").wait(FunctionName=function)
