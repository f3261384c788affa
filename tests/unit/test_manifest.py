"""castari.json: what is accepted, what is refused with which words, and the schema that says the same."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from castari import manifest_schema
from castari.errors import Unprocessable
from castari.manifest import likely_typos, parse
from local.places import REPOSITORY

GOOD = {"name": "My Agent", "entrypoint": "src/index.ts"}
PYTHON = {"name": "My Agent", "entrypoint": "main.py", "runtime": "python"}


def _refusal(content: dict[str, Any]) -> str:
    with pytest.raises(Unprocessable) as caught:
        parse(json.dumps(content).encode())
    return str(caught.value)


def test_keys_that_are_not_known_are_kept() -> None:
    found = parse(json.dumps(GOOD | {"warm": {"size": 2}}).encode())
    assert found.model_dump(exclude_defaults=True) == GOOD | {"warm": {"size": 2}}
    assert likely_typos(found) == []


@pytest.mark.parametrize(
    ("key", "meant"),
    [("buildSecrets", "build_secrets"), ("Version", "version"), ("sulg", "slug"), ("run-time", "runtime")],
)
def test_an_unknown_key_that_looks_like_a_known_one_is_a_likely_typo(key: str, meant: str) -> None:
    (said,) = likely_typos(parse(json.dumps(GOOD | {key: None}).encode()))
    assert f"`{key}`" in said
    assert f"`{meant}`" in said


def test_a_key_is_no_typo_of_one_that_is_there_too() -> None:
    assert likely_typos(parse(json.dumps(GOOD | {"names": 1}).encode())) == []


def test_a_misspelt_key_that_is_needed_is_named() -> None:
    assert "`entrypoint`: Field required (`entrypiont` looks like it)" in _refusal(
        {"name": "x", "entrypiont": "a.ts"}
    )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (GOOD | {"entrypoint": "main.py"}, "the runtime node"),
        (PYTHON | {"entrypoint": "src/index.ts"}, "the runtime python"),
        (PYTHON | {"build": True}, "`build`"),
        (GOOD | {"build": "yes"}, "`build`"),
        (GOOD | {"runtime": "go"}, "`runtime`"),
        (GOOD | {"entrypoint": "../index.ts"}, "inside the bundle"),
        (GOOD | {"entrypoint": "/index.ts"}, "inside the bundle"),
        (GOOD | {"build_secrets": ["CASTARI_JOB"]}, "`build_secrets.0`"),
        (GOOD | {"retries": 6}, "`retries`"),
        (GOOD | {"retries": "1"}, "`retries`"),
        (GOOD | {"name": ""}, "`name`"),
        (GOOD | {"version": "1.0"}, "`version`"),
    ],
)
def test_what_is_wrong_is_named_and_the_schema_refuses_it_too(content: dict[str, Any], named: str) -> None:
    assert named in _refusal(content)
    assert not Draft202012Validator(manifest_schema.document()).is_valid(content)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        PYTHON,
        PYTHON | {"build": False},
        GOOD | {"build": True, "entrypoint": "dist/a..b/index.js"},
        GOOD | {"slug": "a-b", "version": "1.2.3-rc.1+5", "build_secrets": ["NPM_TOKEN"], "other": [1]},
    ],
)
def test_what_is_accepted_is_accepted_by_the_schema_too(content: dict[str, Any]) -> None:
    parse(json.dumps(content).encode())
    assert Draft202012Validator(manifest_schema.document()).is_valid(content)


def test_the_published_schema_is_that_of_the_model() -> None:
    published = json.loads((REPOSITORY / "castari.schema.json").read_text())
    assert published == manifest_schema.document(), "run `make schema`"


def test_the_schema_is_valid_and_every_key_is_described() -> None:
    document = manifest_schema.document()
    Draft202012Validator.check_schema(document)
    assert all(described["description"] for described in document["properties"].values())
