"""The OpenAPI document that the service serves is that of its routes."""

import json
from typing import Any

from functions import openapi
from tests.functional.test_api_agents import CONTRACT as AGENT
from tests.functional.test_api_invocations import CONTRACT as INVOCATION
from tests.gateway import Gateway, function_of

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT.read_text())


def _references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(child) for child in node.values()))
    return set().union(*(_references(child) for child in node)) if isinstance(node, list) else set()


def test_the_document_is_up_to_date() -> None:
    assert openapi.DOCUMENT.read_text() == openapi.text(), "run `make openapi`"


def test_the_service_serves_it_without_a_key() -> None:
    reply = Gateway().request("GET", "/openapi.json")
    assert (reply.status, reply.json) == (200, DOCUMENT)


def test_every_reference_leads_somewhere() -> None:
    references = list(_references(DOCUMENT))
    assert references
    for reference in references:
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in node, reference
            node = node[part]


def test_every_operation_is_named_described_and_answers_errors() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"]
        assert each["description"]
        assert each["responses"]["default"] == {"$ref": "#/components/responses/Error"}


def test_the_shapes_have_every_field_of_the_contract() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["AgentResponse"]["properties"]) >= AGENT
    assert set(schemas["InvocationResponse"]["properties"]) >= INVOCATION
    assert set(schemas["SecretResponse"]["properties"]) == {"key", "created_at", "updated_at"}


def test_the_gateway_sends_each_path_to_the_function_that_answers_it() -> None:
    functions = {
        (method.upper(), path): function_of(method.upper(), path.replace("{", "").replace("}", ""))
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert {route for route, name in functions.items() if name == "invoke"} == {
        ("POST", "/api/v1/agents/{slug}/invoke"),
        ("GET", "/api/v1/agents/{slug}/invocations/{invocation_id}/output"),
    }
    named = {path for (_, path), name in functions.items() if name == "secrets"}
    assert named == {
        path for _, path in functions if path.endswith(("/secrets", "/{key}", "/callback-secret"))
    }
