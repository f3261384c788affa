"""Counts what one invocation asks of AWS and E2B, by proxies between the invoke function and both."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import time

from bench.agents import BenchAgent
from bench.counting_proxy import Call, CountingProxy, counting_proxy
from bench.report import Report
from bench.stack import Stack, until

ROUNDS = 5
_AWS_VARIABLES = tuple(f"AWS_ENDPOINT_URL_{name}" for name in ("DYNAMODB", "S3", "SQS", "SECRETS_MANAGER"))
_Proxies = list[CountingProxy]
_START = "/process.Process/Start"


def measure_calls(stack: Stack, agent: BenchAgent, report: Report) -> None:
    """Count requests of one warm invocation: by a worker just started, then by one that has its caches."""
    with proxied(stack, "Invoke") as (aws, e2b):
        _count(agent, aws, e2b, report, "_cold_cache")
        for _ in range(ROUNDS):
            _count(agent, aws, e2b, report, "")


def _count(
    agent: BenchAgent, aws: CountingProxy, e2b: list[CountingProxy], report: Report, suffix: str
) -> None:
    until(f"a warm sandbox for {agent.slug}", 30, agent.warm_rows)
    begin = time()
    agent.invoke("count")
    end = time()
    to_agent = up_to_start([call for proxy in e2b for call in proxy.calls if begin <= call.at <= end])
    asked = [call for call in aws.calls if begin <= call.at <= end]
    for name, calls in (("e2b_calls_before_agent", to_agent), ("aws_calls_warm_invoke", asked)):
        # The most that any round needed: a path that is sometimes longer is a longer path.
        report.counts[name + suffix] = max(report.counts.get(name + suffix, 0), len(calls))


def up_to_start(calls: list[Call]) -> list[Call]:
    """Return the calls until the runner's start, itself included. Raises `ValueError` if it never came."""
    ordered = sorted(calls, key=lambda call: call.at)
    starts = [index for index, call in enumerate(ordered) if call.name.endswith(_START)]
    if not starts:
        raise ValueError("no call through the proxy started a process: is the invoke function proxied?")
    return ordered[: starts[0] + 1]


@contextmanager
def proxied(stack: Stack, noun: str) -> Iterator[tuple[CountingProxy, _Proxies]]:
    """Point a function, such as `Invoke`, at proxies in front of AWS and E2B, and back again at the end."""
    function = stack.function(noun)
    variables: dict[str, str] = function["Environment"]["Variables"]
    with ExitStack() as proxies:
        aws = proxies.enter_context(counting_proxy(stack.env["AWS_ENDPOINT_URL"]))
        bases = {variables["E2B_API_URL"], variables["E2B_SANDBOX_URL"]}
        e2b = {base: proxies.enter_context(counting_proxy(base)) for base in bases}
        redirected = dict.fromkeys(_AWS_VARIABLES, aws.url) | {
            name: e2b[variables[name]].url for name in ("E2B_API_URL", "E2B_SANDBOX_URL")
        }
        try:
            _set_variables(stack, function["FunctionName"], variables | redirected)
            yield aws, list(e2b.values())
        finally:
            _set_variables(stack, function["FunctionName"], variables)


def _set_variables(stack: Stack, function: str, variables: dict[str, str]) -> None:
    stack.functions.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    stack.functions.get_waiter("function_updated_v2").wait(FunctionName=function)
