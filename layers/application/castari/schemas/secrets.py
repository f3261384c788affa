"""Secrets: values in, never out."""

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr
from pydantic_core import PydanticCustomError

from castari.schemas.shapes import Request, Response

_RESERVED_PREFIX = "CASTARI_"


def _secret_key(key: str) -> str:
    if key.startswith(_RESERVED_PREFIX):
        raise PydanticCustomError("reserved", "names that begin with CASTARI_ belong to the platform")
    return key


def _secret_value(value: SecretStr) -> SecretStr:
    if "\0" in value.get_secret_value():
        raise PydanticCustomError("null_character", "no environment variable can hold a null character")
    return value


SecretKey = Annotated[
    str,
    Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="an environment variable's name"),
    AfterValidator(_secret_key),
]


class SecretWrite(Request):
    """A secret to set; the value never comes back."""

    key: SecretKey
    value: Annotated[SecretStr, AfterValidator(_secret_value)]


class SecretResponse(Response):
    """A secret without its value."""

    key: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
