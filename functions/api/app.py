"""HTTP: everything but invoke and secrets."""

from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.bootstrap import catalogue
from castari.http.answers import Answer, answer
from castari.http.routing import PREFIX, create_resolver, resolve
from castari.http.serving import serve, serve_public
from castari.observability import logger, metrics, tracer
from routes import agents, api_keys, bundles, deletions, invocations, sessions, usage, versions

app = create_resolver()
for _noun in (agents, deletions, bundles, versions, invocations, sessions, api_keys, usage):
    app.include_router(_noun.router, prefix=PREFIX)


def _health() -> Answer:
    return answer(200, {"status": "ok"})


def _openapi() -> Answer:
    document = Path(__file__).with_name("openapi.json").read_text()
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": document}


_PUBLIC = {
    f"{PREFIX}/health": _health,
    f"{PREFIX}/openapi.json": _openapi,
    "/openapi.json": _openapi,
}


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway, payload format 2.0."""
    if public := _PUBLIC.get(event["rawPath"]):
        return serve_public(event, public)
    return serve(event, catalogue.authentication(), lambda event, key: resolve(app, event, context, key))
