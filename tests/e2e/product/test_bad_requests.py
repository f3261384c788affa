"""Requests that cannot be served: the right status, what is wrong and how to mend it."""

import httpx
import pytest

from local.demo.stage import Stage
from tests.e2e.product.agents import Agents

pytestmark = [pytest.mark.stack, pytest.mark.root]


@pytest.mark.parametrize("route", ["invoke", "invocations"])
def test_an_empty_prompt_is_named_as_the_field_that_is_wrong(stage: Stage, hello: str, route: str) -> None:
    answer = stage.http.post(f"/agents/{hello}/{route}", json={"prompt": "  "})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "prompt"]


@pytest.mark.parametrize("route", ["invoke", "invocations"])
def test_a_prompt_of_two_megabytes_is_too_large(stage: Stage, hello: str, route: str) -> None:
    answer = stage.http.post(f"/agents/{hello}/{route}", json={"prompt": "x" * 2_000_000})
    assert answer.status_code == 413
    assert "limit" in answer.json()["detail"]


def test_a_prompt_too_long_for_an_environment_variable_arrives_whole(stage: Stage, hello: str) -> None:
    prompt = "é" * 200_000
    assert stage.invoke(hello, prompt)["response_content"] == f"Hello, {prompt}!\n"


@pytest.mark.parametrize("route", ["invoke", "invocations"])
def test_an_unknown_agent_is_not_found(stage: Stage, route: str) -> None:
    answer = stage.http.post(f"/agents/nobody-has-this/{route}", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Agent not found")


@pytest.mark.parametrize("route", ["invoke", "invocations"])
def test_an_agent_without_a_version_is_not_active(stage: Stage, agents: Agents, route: str) -> None:
    answer = stage.http.post(f"/agents/{agents.create('draft')}/{route}", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "Agent not active")
    assert "cast deploy" in answer.json()["remedy"]


@pytest.mark.parametrize("key", ["", "nonsense", "cast_00000000_0000000000"])
def test_a_bad_key_is_refused_on_every_function(stage: Stage, hello: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=stage.http.base_url, headers=headers) as stranger:
        for method, path in (
            ("GET", "/agents"),
            ("POST", f"/agents/{hello}/invoke"),
            ("GET", f"/agents/{hello}/secrets"),
        ):
            assert stranger.request(method, path, json={"prompt": "x"}).status_code == 401
