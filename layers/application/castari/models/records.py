"""What every record of the platform is: frozen, and strict about its fields."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

JsonText = Annotated[
    dict[str, Any],
    BeforeValidator(lambda value: json.loads(value) if isinstance(value, str) else value),
    PlainSerializer(json.dumps, return_type=str),
]
"""A stranger's JSON object, dumped as text: DynamoDB takes neither its deep nesting nor its long numbers."""


class Model(BaseModel):
    """A frozen record."""

    model_config = ConfigDict(frozen=True, extra="forbid")
