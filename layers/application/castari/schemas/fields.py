"""Field types that several shapes share, with their bounds."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("control_characters", "must be one line without control characters")
    return text


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_one_line)]
Name = Annotated[Line, Field(max_length=100)]
Text = Annotated[str, Field(max_length=2000)]
Slug = Annotated[
    str, Field(pattern=SLUG_PATTERN, description="1 to 63 lowercase letters, digits and inner hyphens")
]
TimeoutSeconds = Annotated[int, Field(ge=1, le=600)]
SessionId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$",
        description="1 to 128 letters, digits and `._:@-`, the first a letter or digit; your own choice",
    ),
]
