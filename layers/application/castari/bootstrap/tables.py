"""The DynamoDB tables, each over the worker's one client."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import clients
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.adapters.tables.agents import AgentsTable
    from castari.adapters.tables.api_keys import ApiKeysTable
    from castari.adapters.tables.build_logs import BuildLogsTable
    from castari.adapters.tables.capacity import CapacityTable
    from castari.adapters.tables.deletions import DeletionsTable
    from castari.adapters.tables.invocations import InvocationsTable
    from castari.adapters.tables.line import LineTable
    from castari.adapters.tables.requests import RequestsTable
    from castari.adapters.tables.session_holds import SessionHolds
    from castari.adapters.tables.sessions import SessionsTable
    from castari.adapters.tables.usage import UsageTable
    from castari.adapters.tables.users import UsersTable
    from castari.adapters.tables.versions import VersionsTable
    from castari.adapters.tables.warm import WarmTable


@cache
def agents_table() -> "AgentsTable":
    """Return the agents table."""
    from castari.adapters.tables.agents import AgentsTable

    return AgentsTable(clients.dynamodb(), settings().agents_table)


@cache
def deletions_table() -> "DeletionsTable":
    """Return the deletions under way, which the agents table holds."""
    from castari.adapters.tables.deletions import DeletionsTable

    return DeletionsTable(clients.dynamodb(), settings().agents_table)


@cache
def capacity_table() -> "CapacityTable":
    """Return what counts sandboxes against the plan's limits."""
    from castari.adapters.tables.capacity import CapacityTable

    return CapacityTable(clients.dynamodb(), settings().capacity_table)


@cache
def line_table() -> "LineTable":
    """Return the line of those who wait, which the capacity table holds."""
    from castari.adapters.tables.line import LineTable

    return LineTable(clients.dynamodb(), settings().capacity_table)


@cache
def build_logs_table() -> "BuildLogsTable":
    """Return the build logs table."""
    from castari.adapters.tables.build_logs import BuildLogsTable

    return BuildLogsTable(clients.dynamodb(), settings().build_logs_table)


@cache
def api_keys_table() -> "ApiKeysTable":
    """Return the API keys table."""
    from castari.adapters.tables.api_keys import ApiKeysTable

    return ApiKeysTable(clients.dynamodb(), settings().api_keys_table)


@cache
def users_table() -> "UsersTable":
    """Return the users table."""
    from castari.adapters.tables.users import UsersTable

    return UsersTable(clients.dynamodb(), settings().users_table)


@cache
def usage_table() -> "UsageTable":
    """Return the usage table."""
    from castari.adapters.tables.usage import UsageTable

    return UsageTable(clients.dynamodb(), settings().usage_table)


@cache
def versions_table() -> "VersionsTable":
    """Return the versions table."""
    from castari.adapters.tables.versions import VersionsTable

    return VersionsTable(clients.dynamodb(), settings().versions_table)


@cache
def warm_table() -> "WarmTable":
    """Return the warm table."""
    from castari.adapters.tables.warm import WarmTable

    return WarmTable(clients.dynamodb(), settings().warm_table)


@cache
def invocations_table() -> "InvocationsTable":
    """Return the invocations table."""
    from castari.adapters.tables.invocations import InvocationsTable

    return InvocationsTable(clients.dynamodb(), settings().invocations_table, warm_table(), usage_table())


@cache
def requests_table() -> "RequestsTable":
    """Return the requests with idempotency keys, which the invocations table holds."""
    from castari.adapters.tables.requests import RequestsTable

    return RequestsTable(clients.dynamodb(), settings().invocations_table)


@cache
def sessions_table() -> "SessionsTable":
    """Return the sessions table."""
    from castari.adapters.tables.sessions import SessionsTable

    return SessionsTable(clients.dynamodb(), settings().sessions_table)


@cache
def session_holds() -> "SessionHolds":
    """Return what changes invocations together with their sessions."""
    from castari.adapters.tables.session_holds import SessionHolds

    return SessionHolds(clients.dynamodb(), invocations_table(), sessions_table())
