"""What an operator does by hand."""

import json
import os
import subprocess
import sys

import pytest

from castari import admin
from castari.bootstrap import tables
from castari.ids import new_id
from tests.gateway import Gateway


def _run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "castari.admin", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_key_is_made_from_the_tables_names_and_credentials_alone(stack: dict[str, str]) -> None:
    needed = {
        name: value
        for name, value in stack.items()
        if name.startswith("AWS_") or name in {"USERS_TABLE", "API_KEYS_TABLE"}
    }
    email = f"{new_id('op')}@example.com"
    made = _run(
        "create-key",
        "--email",
        email,
        "--name",
        "laptop",
        "--crud-per-minute",
        "7",
        "--json",
        environment=needed,
    )
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    assert set(result) == {"user_id", "key_id", "prefix", "key"}
    reply = Gateway(result["key"]).request("GET", "/auth/me")
    assert (reply.json["email"], reply.headers["x-ratelimit-limit"]) == (email, "7")


@pytest.mark.usefixtures("stack")
def test_a_second_key_for_the_same_address_is_the_same_users() -> None:
    email = f"{new_id('op')}@example.com"
    first = admin.create_key(email, "a", crud_per_minute=None, invoke_per_minute=None)
    created_at = tables.users_table().get(first["user_id"]).created_at
    second = admin.create_key(email.upper() + " ", "b", crud_per_minute=None, invoke_per_minute=None)
    assert second["user_id"] == first["user_id"]
    assert second["key"] != first["key"]
    assert tables.users_table().get(first["user_id"]).created_at == created_at


@pytest.mark.usefixtures("stack")
def test_without_json_only_the_key_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    admin.main(["create-key", "--email", f"{new_id('op')}@example.com", "--name", "laptop"])
    assert Gateway(capsys.readouterr().out.strip()).request("GET", "/auth/me").status == 200


def test_a_missing_table_name_is_said() -> None:
    failed = _run(
        "create-key", "--email", "a@b.c", "--name", "x", environment={"AWS_DEFAULT_REGION": "us-east-1"}
    )
    assert failed.returncode == 1
    assert "USERS_TABLE is not set" in failed.stderr


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_below_one_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        admin.main(["create-key", "--email", "a@b.c", "--name", "x", "--crud-per-minute", limit])
    assert ended.value.code == 2
    assert "--crud-per-minute" in capsys.readouterr().err
