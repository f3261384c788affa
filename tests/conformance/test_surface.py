"""That the suite is whole: no public method of the SDKs that talks to the server is in no case."""

import pytest
from e2b import (
    AsyncCommandHandle,
    AsyncSandbox,
    AsyncTemplate,
    AsyncWatchHandle,
    CommandHandle,
    Sandbox,
    Template,
    WatchHandle,
)

from tests.conformance.node import install
from tests.conformance.surface import called, methods, offered_by_javascript, offered_by_python

ASKS_NOBODY = {
    ("sandbox", "get_host"): "puts a name together",
    ("sandbox", "get_mcp_url"): "puts a name together",
    ("template", "to_json"): "prints a description",
    ("template", "to_dockerfile"): "prints a description",
    ("Secret", "fill"): "puts a placeholder together",
    ("Secret", "iam_token"): "puts a placeholder together",
}
NOT_SUPPORTED = {
    ("sandbox", "get_mcp_token"): "no sandbox has an MCP gateway: making one with it is refused",
    **dict.fromkeys(
        (("Volume", name) for name in ("exists", "make_dir", "read_file", "remove", "write_file")),
        "nobody has a volume to call: making and finding one is refused",
    ),
    ("Volume", "update_metadata"): "the same",
}
LEFT_OUT = ASKS_NOBODY | NOT_SUPPORTED

OTHER_WORDS = {"sendinput": "sendstdin", "getfullinfo": "getinfo"}
"""What the JavaScript SDK calls otherwise."""


def test_every_method_of_the_python_sdk_is_in_a_case() -> None:
    cases = called()
    missing = {
        (group, name)
        for group, names in offered_by_python().items()
        for name in names - cases[group]
        if (group, name) not in LEFT_OUT
    }
    assert not missing, f"write a case that calls them, or say in LEFT_OUT why there is none: {missing}"


def test_what_is_left_out_is_offered_and_in_no_case() -> None:
    cases, offered = called(), offered_by_python()
    assert {(group, name) for group, name in LEFT_OUT if name in cases[group]} == set()
    assert {(group, name) for group, name in LEFT_OUT if name not in offered[group]} == set()


@pytest.mark.parametrize(
    ("sync", "other"),
    [
        (Sandbox, AsyncSandbox),
        (Template, AsyncTemplate),
        (CommandHandle, AsyncCommandHandle),
        (WatchHandle, AsyncWatchHandle),
    ],
    ids=lambda kind: kind.__name__,
)
def test_the_async_sdk_offers_no_more_than_the_sync_one(sync: type, other: type) -> None:
    assert set(methods(other)) <= set(methods(sync)) | {"get_new_events"}


def test_every_method_of_the_javascript_sdk_is_one_of_the_python_sdk_s() -> None:
    install()
    python = {group: {_plain(name) for name in names} for group, names in offered_by_python().items()}
    more = {
        (group, name)
        for group, names in offered_by_javascript().items()
        for name in names
        if OTHER_WORDS.get(_plain(name), _plain(name)) not in python[group]
    }
    assert not more, f"methods that only the JavaScript SDK has need cases of their own: {more}"


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
