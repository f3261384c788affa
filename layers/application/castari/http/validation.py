"""What cannot be accepted of a request, in the shape of the public contract."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from castari.errors import InvalidRequest, Unprocessable
from castari.http.answers import Answer, Event, answer

_VALUE_ERROR = "Value error, "
ShapeT = TypeVar("ShapeT", bound=BaseModel)


class FieldsRefused(Unprocessable):
    """Several fields hold what cannot be accepted; `where` they are: body, query or header."""

    def __init__(self, where: str, errors: Sequence[Any]) -> None:
        super().__init__("some fields cannot be accepted", field=(where,))
        self._described = [_described({**each, "loc": (where, *each["loc"])}) for each in errors]

    @property
    def detail(self) -> list[dict[str, Any]]:
        """Each field, and never the value itself."""
        return self._described


def checked(shape: type[ShapeT], value: object, where: str) -> ShapeT:
    """Return what a part of a request holds. Raises `FieldsRefused`."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise FieldsRefused(where, error.errors()) from None


def query_of(event: Event) -> Mapping[str, str]:
    """Return the query of a request that no resolver reads."""
    return event.get("queryStringParameters") or {}


def parse_json(text: str) -> Any:  # noqa: ANN401 - JSON holds anything
    """Return the value of a JSON text. Raises `Unprocessable`, also for what is JSON only to Python."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:  # may be half of a character, which nothing behind us can store
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Unprocessable(f"is not JSON: {error}", kind="json_invalid") from error
    return value


def check_form(event: Event) -> None:
    """Raise `InvalidRequest` for a form that the resolver would not survive."""
    content_type = event.get("headers", {}).get("content-type", "").lower()
    if content_type.startswith("multipart/"):
        if "boundary=" not in content_type:
            raise InvalidRequest("a multipart body needs a boundary in its Content-Type")
        if not event.get("isBase64Encoded"):
            raise InvalidRequest("a multipart body must hold a file")


def validation_answer(errors: Sequence[Any]) -> Answer:
    """Return a 422 that says where and what, and never the value itself."""
    return answer(422, {"detail": [_described(error) for error in errors]})


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _described(error: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's own mapping
    message = str(error["msg"]).removeprefix(_VALUE_ERROR)
    return {"loc": list(error["loc"]), "msg": message, "type": error["type"]}
