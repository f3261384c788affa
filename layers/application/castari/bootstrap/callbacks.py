"""The secrets that sign callbacks, and their deliveries."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import results, stores, tables
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.services.callback_secrets import CallbackSecrets
    from castari.services.deliveries import Deliveries


@cache
def callback_secrets() -> "CallbackSecrets":
    """Return what makes secrets that sign callbacks."""
    from castari.services.callback_secrets import CallbackSecrets

    return CallbackSecrets(tables.agents_table(), stores.callback_secret_store())


@cache
def deliveries() -> "Deliveries":
    """Return what delivers callbacks."""
    from castari.adapters.callbacks import CallbackSender
    from castari.services.deliveries import Deliveries

    return Deliveries(
        tables.invocations_table(),
        tables.agents_table(),
        results.callbacks().table,
        callback_secrets(),
        CallbackSender(settings().loopback_callback_port),
        settings().limits,
    )
