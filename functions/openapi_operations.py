"""What the OpenAPI document says of `invoke`, whose function has no resolver that could tell."""

import copy
from typing import Any

from pydantic import BaseModel

from castari.schemas.invocations import InvokeQuery, OutputQuery

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "RFC 7240: `respond-async`, or `wait=` seconds; the parameter `wait` wins",
    "schema": {"type": "string"},
}


def _query(shape: type[BaseModel]) -> list[dict[str, Any]]:
    properties = shape.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": it} for name, it in properties.items()]


def invoke_operation(queue: dict[str, Any]) -> dict[str, Any]:
    """Return what `invoke` does, which is queueing's twin that waits; its function has no resolver."""
    operation = copy.deepcopy(queue)
    operation["summary"] = "Invoke an agent"
    operation["operationId"] = "invoke_agent"
    operation["description"] = (
        "Run a prompt and wait for the answer at most 25 seconds; after that, a 202 says where to poll. An"
        " agent that failed (500), timed out (504) or lost its sandbox (502) answers with the invocation too."
        " With `wait=0` or `Prefer: respond-async` the answer is a 202 at once."
    )
    operation["parameters"] += [*_query(InvokeQuery), _PREFER]
    shape = {"$ref": "#/components/schemas/InvocationResponse"}
    operation["responses"] = {
        "200": {"description": "Done", "content": {"application/json": {"schema": shape}}},
        **operation["responses"],
    }
    return operation


def output_operation(look: dict[str, Any]) -> dict[str, Any]:
    """Return what reading output does, which names an invocation as looking at one does."""
    operation = copy.deepcopy(look)
    operation["summary"] = "Read output"
    operation["operationId"] = "read_output"
    operation["description"] = (
        "Return what the agent has printed so far from a byte on, after waiting for the first one. Go on from"
        " `next_offset` until `done`. With `Accept: text/event-stream` the same comes as server-sent events,"
        " whose ids are offsets; an EventSource comes back by itself for more."
    )
    path = [each for each in operation["parameters"] if each["in"] == "path"]
    operation["parameters"] = path + _query(OutputQuery)
    shape = {"$ref": "#/components/schemas/OutputResponse"}
    content = {
        "application/json": {"schema": shape},
        "text/event-stream": {"schema": {"type": "string"}},
    }
    operation["responses"] = {
        "200": {"description": "Done", "content": content},
        "204": {"description": "Had all: an EventSource need not come back"},
        "default": {"$ref": "#/components/responses/Error"},
    }
    return operation
