"""What an operator does by hand: `python -m castari.admin create-key --email E --name N`.

Reads USERS_TABLE, API_KEYS_TABLE and AWS credentials from the environment of whoever runs it.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence

from castari.adapters.tables.api_keys import ApiKeysTable
from castari.adapters.tables.users import UsersTable
from castari.bootstrap import clients
from castari.clock import utc_now
from castari.models import User
from castari.services.api_keys import ApiKeys
from castari.settings import Limits

_ID_LENGTH = 24


def user_id_of(email: str) -> str:
    """Return the one id of whoever has this address, so that asking twice makes no second user."""
    digest = hashlib.sha256(email.strip().lower().encode()).hexdigest()
    return f"user_{digest[:_ID_LENGTH]}"


def create_key(
    email: str, name: str, *, crud_per_minute: int | None, invoke_per_minute: int | None
) -> dict[str, str]:
    """Make a key, and its user if there is none yet; return their ids and the key's text."""
    user = User(user_id=user_id_of(email), email=email.strip(), created_at=utc_now())
    UsersTable(clients.dynamodb(), _table("USERS_TABLE")).create_if_missing(user)
    keys = ApiKeys(ApiKeysTable(clients.dynamodb(), _table("API_KEYS_TABLE")), Limits())
    api_key, text = keys.create(
        user.user_id, name, crud_per_minute=crud_per_minute, invoke_per_minute=invoke_per_minute
    )
    return {"user_id": user.user_id, "key_id": api_key.key_id, "prefix": api_key.prefix, "key": text}


def _table(variable: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        sys.exit(f"{variable} is not set: the stack's outputs have the names of its tables")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m castari.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create-key", help="make an API key, and its user if there is none yet")
    create.add_argument("--email", required=True, help="whose key it is")
    create.add_argument("--name", required=True, help="what the key is for")
    create.add_argument("--crud-per-minute", type=_positive, help="instead of the default limit")
    create.add_argument("--invoke-per-minute", type=_positive, help="instead of the default limit")
    create.add_argument("--json", action="store_true", help="print ids and key as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and print what it made; the key's text is shown this once."""
    chosen = _parser().parse_args(arguments)
    made = create_key(
        chosen.email,
        chosen.name,
        crud_per_minute=chosen.crud_per_minute,
        invoke_per_minute=chosen.invoke_per_minute,
    )
    sys.stdout.write((json.dumps(made) if chosen.json else made["key"]) + "\n")


if __name__ == "__main__":
    main()
