"""The JSON Schema of castari.json, for editors and for whoever writes one by program: `make schema`."""

import json
import re
import sys
from typing import Any

from castari.manifest import SUFFIXES, VARIABLE, Manifest

_INSIDE = r"^(?!/)(?!(.*/)?\.\.(/|$))[^\\]*"


def document() -> dict[str, Any]:
    """Return the schema: the model's own, and what the model checks by code."""
    schema = Manifest.model_json_schema()
    properties = schema["properties"]
    for described in properties.values():
        del described["title"]
    properties["build_secrets"]["items"]["pattern"] = VARIABLE
    is_python = {"properties": {"runtime": {"const": "python"}}, "required": ["runtime"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "castari.json",
        "if": is_python,
        "then": {"properties": {"build": {"const": False}, "entrypoint": _file(SUFFIXES["python"])}},
        "else": {"properties": {"entrypoint": _file(SUFFIXES["node"])}},
    }


def _file(suffixes: tuple[str, ...]) -> dict[str, str]:
    return {"pattern": f"{_INSIDE}({'|'.join(re.escape(suffix) for suffix in suffixes)})$"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2) + "\n")
