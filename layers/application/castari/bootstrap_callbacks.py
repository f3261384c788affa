"""The composition root of callbacks: the secrets that sign them, and their deliveries."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import agents_table, callbacks, invocations_table, secrets_manager, settings

if TYPE_CHECKING:
    from castari.adapters.secret_store import SecretStore
    from castari.services.callback_secrets import CallbackSecrets
    from castari.services.deliveries import Deliveries


@cache
def callback_secret_store() -> "SecretStore":
    """Return the store of the secrets that sign callbacks, apart from those that agents see."""
    from castari.adapters.secret_store import SecretStore

    return SecretStore(secrets_manager(), settings().callback_secret_prefix)


@cache
def callback_secrets() -> "CallbackSecrets":
    """Return what makes secrets that sign callbacks."""
    from castari.services.callback_secrets import CallbackSecrets

    return CallbackSecrets(agents_table(), callback_secret_store())


@cache
def deliveries() -> "Deliveries":
    """Return what delivers callbacks."""
    from castari.adapters.callbacks import CallbackSender
    from castari.services.deliveries import Deliveries

    return Deliveries(
        invocations_table(),
        agents_table(),
        callbacks().table,
        callback_secrets(),
        CallbackSender(settings().loopback_callback_port),
        settings().limits,
    )
