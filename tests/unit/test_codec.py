"""Models to DynamoDB items and back."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from castari.adapters.tables.codec import (
    condition_expression,
    decode,
    encode,
    encode_time,
    from_item,
    set_expression,
    to_item,
)
from castari.models import JsonText

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | st.floats(-1e100, 1e100) | _texts,
    lambda inner: st.lists(inner) | st.dictionaries(_texts, inner),
)


class Record(BaseModel):
    name: str
    when: datetime | None = None
    manifest: JsonText = {}


@given(_plain)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.dictionaries(_texts, _plain))
def test_a_strangers_json_is_kept_whole_as_text(manifest: dict[str, Any]) -> None:
    record = Record(name="x", manifest=manifest)
    item = to_item(record)
    assert json.loads(item["manifest"]["S"]) == manifest
    assert from_item(Record, item) == record


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_stored_times_have_one_width_and_sort_as_times_do(when: datetime) -> None:
    assert len(encode_time(when)) == len("2026-01-02T03:04:05.000006Z")
    assert encode_time(when) < encode_time(when + timedelta(microseconds=1))
    assert from_item(Record, to_item(Record(name="x", when=when))).when == when


def test_times_of_other_zones_are_stored_in_utc() -> None:
    eastern = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=-5)))
    assert encode_time(eastern) == "2026-01-02T08:00:00.000000Z"


def test_empty_fields_are_left_out_and_index_keys_are_no_fields() -> None:
    item = to_item(Record(name="x"), open="open")
    assert set(item) == {"name", "manifest", "open"}
    assert from_item(Record, item) == Record(name="x")


@pytest.mark.parametrize("value", [SecretStr("x"), object(), {"nested": SecretStr("x")}, b"bytes"])
def test_no_row_holds_a_secret_or_an_object(value: object) -> None:
    with pytest.raises(TypeError, match="a table holds no"):
        encode(value)


def test_an_update_sets_removes_and_expects_by_name() -> None:
    assert set_expression({"status": "active", "message": None}, {"attempt": 1, "lock": None}) == {
        "UpdateExpression": "SET #c0 = :c0 REMOVE #c1",
        "ConditionExpression": "#e0 = :e0 AND attribute_not_exists(#e1)",
        "ExpressionAttributeNames": {"#c0": "status", "#c1": "message", "#e0": "attempt", "#e1": "lock"},
        "ExpressionAttributeValues": {":c0": {"S": "active"}, ":e0": {"N": "1"}},
    }


def test_an_update_that_only_removes_carries_no_values() -> None:
    assert "ExpressionAttributeValues" not in set_expression({"message": None})
    assert condition_expression({}) == {}
