"""Calls the HTTP functions as API Gateway would: payload format 2.0, routed as template.yaml says."""

import base64
import importlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from tests.cloudformation import load_template

_NAMED = re.compile(r"/api/v1/agents/(?P<slug>[^/]+)/(?:invocations/(?P<invocation_id>[^/]+))?")
_BOUNDARY = "a-boundary-of-the-tests"


@dataclass
class Context:
    """What Lambda tells a handler of itself."""

    function_name: str = "test"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:test"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _routes() -> dict[str, str]:
    """Return the function of each route key, such as `ANY /api/v1/agents/{slug}/secrets`: `secrets`."""
    resources = load_template()["Resources"].values()
    routes = [each["Properties"] for each in resources if each["Type"] == "AWS::ApiGatewayV2::Route"]
    return {route["RouteKey"]: _integrated(route["Target"]["Sub"]) for route in routes}


def _integrated(target: str) -> str:
    return target.removeprefix("integrations/${").removesuffix("Integration}").lower()


def function_of(method: str, path: str) -> str:
    """Return which function the gateway would call."""
    for key, function in _ROUTES.items():
        if key == "$default":
            continue
        wanted, _, pattern = key.partition(" ")
        if wanted in {method, "ANY"} and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
            return function
    return _ROUTES["$default"]


_ROUTES = _routes()


def multipart(content: bytes, *, name: str = "file", filename: str = "bundle.tar.gz") -> tuple[bytes, str]:
    """Return a form with one file, and its content type."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        "Content-Type: application/gzip\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={_BOUNDARY}"


@dataclass(frozen=True)
class Gateway:
    """Sends requests with one key, or none, and with more headers where a test wants them."""

    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    function: str = ""
    """Whose function URL is called; the gateway routes to it unless it is named."""

    def request(self, method: str, path: str, body: object = None, **query: object) -> Reply:
        """Send JSON, or nothing."""
        text = None if body is None else json.dumps(body).encode()
        return self.send(method, path, text, "application/json", **query)

    def send(self, method: str, path: str, body: bytes | None, content_type: str, **query: object) -> Reply:
        """Send bytes."""
        event = self._event(method, f"/api/v1{path}", body, content_type, query)
        function = self.function or function_of(method, event["rawPath"])
        module = importlib.import_module(f"functions.{function}.app")
        answered = module.handler(event, Context())
        headers = {name.lower(): value for name, value in answered.get("headers", {}).items()}
        return Reply(answered["statusCode"], headers, answered.get("body") or "")

    def _event(
        self, method: str, path: str, body: bytes | None, content_type: str, query: dict[str, object]
    ) -> dict[str, Any]:
        headers = {"host": "api.test", **self.headers}
        headers |= {"authorization": f"Bearer {self.key}"} if self.key else {}
        headers |= {"content-type": content_type} if body is not None else {}
        text = content_type.startswith(("application/json", "text/"))
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": urlencode(query),
            "headers": headers,
            "requestContext": {
                "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
                "requestId": str(uuid4()),
                "stage": "$default",
                "timeEpoch": int(time.time() * 1000),
            },
            "isBase64Encoded": body is not None and not text,
        }
        if named := _NAMED.match(path):
            event["pathParameters"] = {name: found for name, found in named.groupdict().items() if found}
        if query:
            event["queryStringParameters"] = {name: str(value) for name, value in query.items()}
        if body is not None:
            event["body"] = body.decode() if text else base64.b64encode(body).decode()
        return event
