"""Writes functions/api/openapi.json: one document of all HTTP functions, out of their own routes and shapes.

`python -m functions.openapi`; a test says when that is due.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from castari.http.routing import PREFIX
from castari.schemas.invocations import OutputResponse
from castari.schemas.shapes import ErrorResponse
from functions.openapi_operations import invoke_operation, output_operation

DOCUMENT = Path(__file__).parent / "api" / "openapi.json"
_RESOLVING = ("api", "secrets")
_QUEUE = f"{PREFIX}/agents/{{slug}}/invocations"
_ONE = f"{_QUEUE}/{{invocation_id}}"
_OUTPUT = f"{_ONE}/output"
_INVOKE = f"{PREFIX}/agents/{{slug}}/invoke"
_VENDORS_SCHEMAS = ("HTTPValidationError", "ValidationError", "ResponseValidationError")
_DESCRIPTION = """\
Run AI agents serverlessly: deploy a bundle, invoke it, every invocation in a fresh sandbox.

Every answer to a key carries `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` (seconds
since 1970); a 429 also `Retry-After` (seconds). Each answer has `X-Request-Id`. Times are ISO 8601 in UTC.
Lists take `limit` (1 to 100) and `offset`. A field that a body does not know is refused with 422.
"""
_ERROR = {
    "description": "What went wrong and, where `remedy` is there, what to do; a 422 lists each field.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
}
_HEALTH = {
    "summary": "Is it up?",
    "description": "Answers anybody, without a look at anything behind it.",
    "operationId": "get_health",
    "security": [],
    "responses": {"200": {"description": "Done"}, "default": {"$ref": "#/components/responses/Error"}},
}


def build() -> dict[str, Any]:
    """Return the document."""
    sys.path.insert(0, str(DOCUMENT.parent))  # where Lambda finds the modules beside app.py
    parts = [_part(importlib.import_module(f"functions.{name}.app").app) for name in _RESOLVING]
    paths = {path: operations for part in parts for path, operations in part["paths"].items()}
    paths[f"{PREFIX}/health"] = {"get": _HEALTH}
    paths[_INVOKE] = {"post": invoke_operation(paths[_QUEUE]["post"])}
    schemas = {name: shape for part in parts for name, shape in part["components"]["schemas"].items()}
    paths[_OUTPUT] = {"get": output_operation(paths[_ONE]["get"])}
    for shape in (ErrorResponse, OutputResponse):
        schemas[shape.__name__] = shape.model_json_schema()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Castari", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {
                name: shape for name, shape in sorted(schemas.items()) if name not in _VENDORS_SCHEMAS
            },
            "responses": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "cast_…"}},
        },
    }


def text() -> str:
    """Return the document as it is kept."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


def _part(app: APIGatewayHttpResolver) -> dict[str, Any]:
    """Return one function's document, with our names, descriptions and errors instead of the resolver's."""
    document: dict[str, Any] = json.loads(app.get_openapi_json_schema())
    for route in app._static_routes + app._dynamic_routes:  # noqa: SLF001 - it has no public list of them
        operation = document["paths"][route.openapi_path][route.method.lower()]
        operation["operationId"] = route.func.__name__
        operation["description"] = route.func.__doc__
        operation["responses"] = _responses(operation["responses"])
    return document


def _responses(responses: dict[str, Any]) -> dict[str, Any]:
    kept = {status: response for status, response in responses.items() if status.startswith("2")}
    for status, response in kept.items():
        response["description"] = "Done" if status in {"200", "201", "204"} else "Accepted"
        if status == "204":
            response.pop("content", None)
    return {**kept, "default": {"$ref": "#/components/responses/Error"}}


if __name__ == "__main__":
    DOCUMENT.write_text(text())
