"""What every shape that travels is: a request, a response, or an error."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """A body that clients send; a key that is not known is refused, for it is likely a typo."""

    model_config = ConfigDict(extra="forbid")


class Response(BaseModel):
    """A body that clients get, read from a record of the platform by the fields' names."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, record: object, **more: Any) -> Self:  # noqa: ANN401 - a field may hold anything
        """Return the public shape of a record, with `more` for what is named otherwise there."""
        names = cls.model_fields.keys() - more.keys()
        return cls.model_validate(
            {name: getattr(record, name) for name in names if hasattr(record, name)} | more
        )


class ErrorResponse(BaseModel):
    """Every error; `remedy` says what to do where `detail` is a text that clients match on."""

    detail: str | list[dict[str, Any]]
    remedy: str | None = None
