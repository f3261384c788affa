"""Sealed access opens for its own sandbox and key, and for nothing else."""

import base64

import pytest
from pydantic import SecretStr

from castari.adapters.sealing import Sealer
from castari.errors import SealBroken
from castari.models import SandboxAccess

KEY = SecretStr(base64.b64encode(bytes(range(32))).decode())
OTHER = SecretStr(base64.b64encode(bytes(32)).decode())
ACCESS = SandboxAccess(
    sandbox_id="i1", access_token=SecretStr("the token"), envd_version="0.6.13", domain="e2b.app"
)


@pytest.mark.parametrize("domain", ["e2b.app", None])
def test_what_was_sealed_opens_again(domain: str | None) -> None:
    access = ACCESS.model_copy(update={"domain": domain})
    assert Sealer(KEY).open("i1", Sealer(KEY).seal(access)) == access


def test_nothing_of_it_can_be_read_and_no_two_are_alike() -> None:
    sealed = Sealer(KEY).seal(ACCESS)
    assert b"token" not in base64.b64decode(sealed)
    assert sealed != Sealer(KEY).seal(ACCESS)


@pytest.mark.parametrize(
    ("sandbox_id", "key", "spoil"),
    [("i2", KEY, ""), ("i1", OTHER, ""), ("i1", KEY, "AAAA"), ("i1", KEY, "!")],
)
def test_another_sandbox_another_key_or_a_changed_text_do_not_open(
    sandbox_id: str, key: SecretStr, spoil: str
) -> None:
    with pytest.raises(SealBroken):
        Sealer(key).open(sandbox_id, spoil + Sealer(KEY).seal(ACCESS))
