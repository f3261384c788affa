"""The services of users, agents, their secrets and versions."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import stores, tables
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.services.agents import Agents
    from castari.services.api_keys import ApiKeys
    from castari.services.authentication import Authentication
    from castari.services.foresight import Foresight
    from castari.services.rollbacks import Rollbacks
    from castari.services.secrets import Secrets
    from castari.services.switches import Switches
    from castari.services.uploads import Uploads
    from castari.services.usage import Usage
    from castari.services.versions import Versions


@cache
def authentication() -> "Authentication":
    """Return what admits requests."""
    from castari.services.authentication import Authentication

    return Authentication(tables.api_keys_table())


@cache
def agents() -> "Agents":
    """Return the agents service."""
    from castari.services.agents import Agents

    return Agents(
        tables.agents_table(), tables.deletions_table(), stores.maintenance_queue(), settings().limits
    )


@cache
def foresight() -> "Foresight":
    """Return what reads ahead for keys that were let in before."""
    from castari.services.foresight import Foresight

    return Foresight(authentication(), agents(), tables.warm_table())


@cache
def uploads() -> "Uploads":
    """Return the uploads service."""
    from castari.services.uploads import Uploads

    return Uploads(tables.agents_table(), stores.bundle_bucket(), stores.deploy_queue(), settings().limits)


@cache
def secrets() -> "Secrets":
    """Return the secrets service."""
    from castari.services.secrets import Secrets

    return Secrets(tables.agents_table(), stores.secret_store(), settings().limits)


@cache
def api_keys() -> "ApiKeys":
    """Return the API keys service."""
    from castari.services.api_keys import ApiKeys

    return ApiKeys(tables.api_keys_table(), settings().limits)


@cache
def usage() -> "Usage":
    """Return the usage service."""
    from castari.services.usage import Usage

    return Usage(tables.usage_table())


@cache
def versions() -> "Versions":
    """Return the versions service."""
    from castari.services.versions import Versions

    return Versions(tables.agents_table(), tables.versions_table(), tables.build_logs_table())


@cache
def switches() -> "Switches":
    """Return what switches agents to versions."""
    from castari.services.switches import Switches

    return Switches(tables.agents_table(), tables.versions_table())


@cache
def rollbacks() -> "Rollbacks":
    """Return what makes earlier versions serve again."""
    from castari.services.rollbacks import Rollbacks

    return Rollbacks(tables.agents_table(), tables.versions_table(), switches(), stores.maintenance_queue())
