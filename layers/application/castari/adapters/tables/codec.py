"""Models to DynamoDB items and back, and the update expressions between them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

Item = dict[str, Any]
"""A DynamoDB item: attribute name to typed value, such as {"S": "text"}."""

ModelT = TypeVar("ModelT", bound=BaseModel)
_STORED_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def encode_time(value: datetime) -> str:
    """Return the time as text of one width, so that text order is time order."""
    return value.astimezone(UTC).strftime(_STORED_TIME)


def encode(value: object) -> dict[str, Any]:  # noqa: PLR0911 - one return per DynamoDB type
    """Return one typed attribute value. Raises `TypeError` for what no row may hold: a `SecretStr`."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case Enum():
            return encode(value.value)
        case str():
            return {"S": value}
        case datetime():
            return {"S": encode_time(value)}
        case BaseModel():
            return {"M": to_item(value)}
        case Mapping():
            return {"M": {str(key): encode(inner) for key, inner in value.items()}}
        case list() | tuple():
            return {"L": [encode(inner) for inner in value]}
        case _:
            raise TypeError(f"a table holds no {type(value).__name__}")


def decode(value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an attribute holds any JSON value
    """Return the plain value of one typed attribute value."""
    kind, inner = next(iter(value.items()))
    match kind:
        case "NULL":
            return None
        case "N":
            return int(inner) if inner.lstrip("-").isdigit() else float(inner)
        case "M":
            return {key: decode(each) for key, each in inner.items()}
        case "L":
            return [decode(each) for each in inner]
        case _:
            return inner


def to_item(model: BaseModel, **more: object) -> Item:
    """Return the model as an item without its empty fields, plus `more` such as index keys."""
    fields = model.model_dump(exclude_none=True) | more
    return {name: encode(value) for name, value in fields.items()}


def from_item(model: type[ModelT], item: Mapping[str, Any]) -> ModelT:
    """Return the model an item holds; attributes that only indexes or counters use are left out."""
    known = item.keys() & model.model_fields.keys()
    return model.model_validate({name: decode(item[name]) for name in known})


def key(**parts: str) -> Item:
    """Return the primary key of a row."""
    return {name: {"S": value} for name, value in parts.items()}


def set_expression(
    changes: Mapping[str, object], expected: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Return the update parameters that set `changes` while the row still holds `expected`.

    In both, `None` means absent: such a change removes the attribute, such an expectation wants it missing.
    Fits `update_item` and the `Update` of a transaction.
    """
    named = {f"#c{i}": name for i, name in enumerate(changes)}
    values = {f":c{i}": encode(value) for i, value in enumerate(changes.values()) if value is not None}
    sets = [f"{ref} = :{ref[1:]}" for ref in named if f":{ref[1:]}" in values]
    removes = [ref for ref in named if f":{ref[1:]}" not in values]
    clauses = ["SET " + ", ".join(sets)] * bool(sets) + ["REMOVE " + ", ".join(removes)] * bool(removes)
    update = {"UpdateExpression": " ".join(clauses), "ExpressionAttributeNames": named}
    return _merged(update | ({"ExpressionAttributeValues": values} if values else {}), expected or {})


def _merged(update: dict[str, Any], expected: Mapping[str, object]) -> dict[str, Any]:
    condition = condition_expression(expected)
    return {
        name: update[name] | condition[name]
        if name in update and name in condition
        else (update | condition)[name]
        for name in update | condition
    }


def condition_expression(expected: Mapping[str, object]) -> dict[str, Any]:
    """Return the condition parameters that hold while the row has the `expected` values (`None`: absent)."""
    if not expected:
        return {}
    names = {f"#e{i}": name for i, name in enumerate(expected)}
    values = {f":e{i}": encode(value) for i, value in enumerate(expected.values()) if value is not None}
    terms = [
        f"{ref} = :{ref[1:]}" if f":{ref[1:]}" in values else f"attribute_not_exists({ref})" for ref in names
    ]
    return {
        "ConditionExpression": " AND ".join(terms),
        "ExpressionAttributeNames": names,
        **({"ExpressionAttributeValues": values} if values else {}),
    }
