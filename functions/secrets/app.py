"""HTTP: agents' secrets, and those that sign callbacks. Only this function can write them."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from castari.bootstrap import callbacks, catalogue
from castari.http.routing import PREFIX, Caller, Named, create_resolver, resolve
from castari.http.serving import serve
from castari.observability import logger, metrics, tracer
from castari.schemas.callbacks import CallbackSecretCreated, CallbackSecretResponse
from castari.schemas.secrets import SecretResponse, SecretWrite

app = create_resolver()
_SECRETS = f"{PREFIX}/agents/<slug>/secrets"
_CALLBACK_SECRET = f"{PREFIX}/agents/<slug>/callback-secret"


@app.get(_SECRETS, summary="List an agent's secrets", tags=["secrets"])
def list_secrets(slug: Named, caller: Caller) -> list[SecretResponse]:
    """Names and times, never a value."""
    listed = catalogue.secrets().list(caller.user_id, slug)
    return [
        SecretResponse(key=key, created_at=created_at, updated_at=updated_at)
        for key, (created_at, updated_at) in listed.items()
    ]


@app.post(_SECRETS, summary="Set a secret", tags=["secrets"], status_code=201)
def set_secret(slug: Named, body: SecretWrite, caller: Caller) -> SecretResponse:
    """Make or replace a secret; the next invocation has it in its environment."""
    created_at, updated_at = catalogue.secrets().set(caller.user_id, slug, body.key, body.value)
    return SecretResponse(key=body.key, created_at=created_at, updated_at=updated_at)


@app.delete(f"{_SECRETS}/<key>", summary="Delete a secret", tags=["secrets"], status_code=204)
def delete_secret(slug: Named, key: Named, caller: Caller) -> None:
    """Remove a secret; the next invocation does not have it."""
    catalogue.secrets().delete(caller.user_id, slug, key)


@app.get(_CALLBACK_SECRET, summary="Look at an agent's callback secret", tags=["callbacks"])
def get_callback_secret(slug: Named, caller: Caller) -> CallbackSecretResponse:
    """When the secret that signs callbacks was made, never its value; 404 as long as there is none."""
    secret = callbacks.callback_secrets().get(caller.user_id, slug)
    return CallbackSecretResponse(created_at=secret.made_at, previous_valid_until=secret.previous_until)


@app.post(_CALLBACK_SECRET, summary="Make an agent's callback secret", tags=["callbacks"], status_code=201)
def make_callback_secret(slug: Named, caller: Caller) -> CallbackSecretCreated:
    """Make the secret that signs callbacks, or another one, and show it this once; for 24 hours both sign."""
    made = callbacks.callback_secrets().make(caller.user_id, slug)
    return CallbackSecretCreated(
        secret=made.value.get_secret_value(),
        created_at=made.made_at,
        previous_valid_until=made.previous_until,
    )


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of API Gateway, payload format 2.0."""
    return serve(event, catalogue.authentication(), lambda event, key: resolve(app, event, context, key))
