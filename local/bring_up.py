"""Starts a local stack step by step, and brings changed code to a running one."""

import os
import time
import urllib.request
from urllib.parse import urlsplit

from local import (
    deployment,
    environment,
    first_keys,
    identity,
    ministack,
    packaging,
    preflight,
    processes,
    relay_process,
    sandbox_server,
)
from local.identity import Identity
from local.places import Places
from local.steps import say, step

_FIRST_BUILD_SECONDS = 900.0
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.05


def start_all(places: Places, instance: str, *, engine: str) -> None:
    """Start a stack with fresh names and keys. Each failure says which step and why."""
    preflight.check(isolated=engine != "bare")
    places.make()
    stack = identity.new(
        instance,
        relay_address=sandbox_server.relay_address(instance, engine=engine),
        server_code=sandbox_server.code(),
    )
    stack.save(places.identity)
    sandboxes = sandbox_server.start(places, stack, engine=engine)
    with step("install the local AWS"):
        ministack.install(places)
    with step("start the local AWS"):
        ministack.start(places, stack)
    _deploy(places, stack, first_keys.make_platform_secret(stack))
    with step("start the sandbox server") as note:
        sandbox_server.wait(sandboxes, places, note, seconds=_FIRST_BUILD_SECONDS)
    with step("start the relay"):
        relay_process.start(places, stack)
    with step("make the first API key"):
        environment.write(
            places.environment,
            environment.describe(
                stack,
                api_url=_url(stack, "ApiUrl", "execute-api"),
                long_invoke_url=_url(stack, "LongInvokeUrl", "lambda-url"),
                api_key=first_keys.make_api_key(stack),
            ),
        )
    with step("wait for the API"):
        _wait_for(f"{_url(stack, 'ApiUrl', 'execute-api')}/api/v1/health", "the API")


def reload(places: Places, stack: Identity) -> None:
    """Build what has changed and update the running stack with it."""
    _deploy(places, stack, deployment.function_environment("ApiFunction", stack)["PLATFORM_SECRET_ID"])
    if stack.server_code != sandbox_server.code():
        say("The sandbox server's own code has changed: `make down` and `make up` take that over.")


def _deploy(places: Places, stack: Identity, platform_secret_arn: str) -> None:
    template = deployment.load_template()
    with step("build functions and layers"):
        archives = packaging.build(template, places)
    with step("deploy template.yaml"):
        deployment.deploy(template, archives, _parameters(stack, platform_secret_arn), stack)


def _parameters(stack: Identity, platform_secret_arn: str) -> dict[str, str]:
    cores = os.cpu_count() or 2
    return {
        "PlatformSecretArn": platform_secret_arn,
        "E2BApiUrl": stack.sandbox_url,
        "E2BSandboxUrl": stack.sandbox_url,
        "PresignEndpointUrl": stack.relay_url,
        # Each function at work is a process here, and so is each agent.
        "StartConcurrency": str(2 * cores),
        "DeployConcurrency": str(max(2, cores)),
        "CallbackConcurrency": str(max(2, cores)),
        "LoopbackCallbackPort": str(stack.callback_port),
    }


def _url(stack: Identity, output: str, service: str) -> str:
    """Return an address by path: its own host name is one that only AWS could resolve."""
    host = urlsplit(deployment.outputs(stack)[output]).hostname or ""
    return f"{stack.aws_url}/_aws/{service}/{host.partition('.')[0]}"


def _wait_for(url: str, what: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):  # noqa: S310 - loopback
                return
        except OSError as error:
            if time.monotonic() > deadline:
                message = f"{what} does not answer at {url}: {error}; see the logs beside the env file"
                raise processes.ProcessFailed(message) from error
        time.sleep(_POLL_SECONDS)
