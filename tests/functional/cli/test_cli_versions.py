"""`cast versions`, `cast rollback`, and what `cast deploy` shows of a build."""

import json
from pathlib import Path
from typing import Any

from castari.schemas.versions import LogResponse, VersionResponse
from tests.functional.cli.conftest import Cast
from tests.functional.cli.fake_platform import FakePlatform, Reply
from tests.functional.cli.shapes import agent

AT, HASH = "2026-01-02T03:04:05Z", "feed" * 16
VERSION: dict[str, Any] = {
    "id": "ver_2", "number": 2, "status": "ready", "message": None, "active": True, "source_hash": HASH,
    "lockfile_hash": None, "size_bytes": 2048, "build_ms": 4200, "steps": [], "reused_dependencies": True,
    "warnings": [], "created_by": "key_1", "attempt": 1, "manifest": {}, "created_at": AT,
}  # fmt: skip


def version(**changes: object) -> dict[str, Any]:
    return VersionResponse.model_validate(VERSION | changes).model_dump(mode="json")


def part(*entries: tuple[str, str, str], offset: int = 0, done: bool = False) -> Reply:
    """Return a part of a log: kind, step and text of each entry."""
    listed = [
        {"offset": offset + at, "at": AT, "kind": kind, "step": step, "text": text, "seconds": 1.25}
        for at, (kind, step, text) in enumerate(entries)
    ]
    body = {
        "status": "ready" if done else "building",
        "entries": listed,
        "next_offset": offset + len(listed),
        "done": done,
    }
    return Reply(200, LogResponse.model_validate(body).model_dump(mode="json"))


BEGINNING = part(
    ("note", "", "version 2 of hello, attempt 1"),
    ("step_started", "install", ""),
    ("output", "install", "fetching\nadded 7 packages\n"),
)
END = part(("step_done", "install", "`npm ci`"), ("note", "", "active as version 2"), offset=3, done=True)


def test_deploy_shows_each_step_of_the_build_with_its_time_and_the_end_of_its_output(
    cast: Cast, platform: FakePlatform, folder: Path
) -> None:
    deploying = Reply(200, agent(status="deploying"))
    active = Reply(200, agent(status="active", source_hash=HASH, active_version=2))
    platform.on("GET", "/agents/hello", Reply(200, agent()), deploying, active)
    platform.on("POST", "/agents/hello/upload", Reply(200, {"source_hash": HASH}))
    newest = Reply(200, [version(id="ver_1", number=1)])
    platform.on("GET", "/agents/hello/versions", newest, newest, Reply(200, [version()]))
    platform.on("GET", "/agents/hello/versions/ver_2", Reply(200, version()))
    platform.on("GET", "/agents/hello/versions/ver_2/log", BEGINNING, part(offset=3), END)
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 0, result.output
    assert result.stdout == "hello is active: version 2, feedfeedfeed\n"
    for line in (
        "  version 2 of hello, attempt 1",
        "  ✓ install  1.2 s  `npm ci`",
        "    | added 7 packages",
        "✓ version 2: bundle 2 KB, built in 4.2 s, dependencies were cached",
    ):
        assert line in result.stderr
    offsets = [asked.path.partition("offset=")[2] for asked in platform.asked if "/log?" in asked.path]
    assert offsets == ["0", "3", "3"]


def test_deploy_of_what_serves_already_says_so(cast: Cast, platform: FakePlatform, folder: Path) -> None:
    serving = agent(status="active", source_hash=HASH, active_version=2)
    platform.on("GET", "/agents/hello", Reply(200, serving))
    platform.on("POST", "/agents/hello/upload", Reply(200, {"source_hash": HASH}))
    platform.on("GET", "/agents/hello/versions", Reply(200, [version()]))
    result = cast("deploy", "--folder", str(folder))
    assert result.exit_code == 0
    assert "✓ nothing changed, it serves already" in result.stderr


def test_versions_are_listed_with_the_one_that_serves(cast: Cast, platform: FakePlatform) -> None:
    failed = version(id="ver_3", number=3, status="failed", active=False, build_ms=None, created_by=None)
    platform.on("GET", "/agents/hello/versions", Reply(200, [failed, version()]))
    lines = cast("versions", "list", "hello").stdout.splitlines()
    assert [line.split("\t")[:3] for line in lines] == [["3", "", "failed"], ["2", "yes", "ready"]]
    assert lines[0].endswith("\t-\t2026-01-02 03:04:05Z\t-")
    assert json.loads(cast("versions", "list", "hello", "--json").stdout)[1]["id"] == "ver_2"


def test_an_agent_without_versions_says_what_makes_one(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents/hello/versions", Reply(200, []))
    assert "`cast deploy` makes one" in cast("versions", "list", "hello").stderr


def test_a_log_is_printed_whole_and_cannot_command_the_terminal(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents/hello/versions", Reply(200, [version()]))
    rest = part(
        ("output", "install", "\x1b[2Jcleared\n"), ("failed", "install", "no luck"), offset=3, done=True
    )
    platform.on("GET", "/agents/hello/versions/ver_2/log", BEGINNING, rest)
    said = cast("versions", "log", "hello", "2").stdout
    assert "fetching\nadded 7 packages\n" in said
    assert "cleared" in said
    assert "✗ no luck" in said
    assert "\x1b" not in said


def test_a_version_that_is_not_there_is_named(cast: Cast, platform: FakePlatform) -> None:
    platform.on("GET", "/agents/hello/versions", Reply(200, [version()]))
    result = cast("versions", "log", "hello", "7")
    assert result.exit_code == 1
    assert "hello has no version 7" in result.stderr


def test_a_rollback_names_the_version_that_serves_now(cast: Cast, platform: FakePlatform) -> None:
    platform.on(
        "POST",
        "/agents/hello/rollback",
        Reply(200, agent(status="active", active_version=1, source_hash=HASH)),
    )
    assert cast("rollback", "hello", "1").stdout == "hello is active: version 1\n"
    assert cast("rollback", "hello", "ver_1").exit_code == 0
    sent = [asked.json for asked in platform.requests("POST", "/agents/hello/rollback")]
    assert sent == [{"version": 1}, {"version": "ver_1"}]


def test_a_rollback_that_is_refused_says_why(cast: Cast, platform: FakePlatform) -> None:
    refused = Reply(409, {"detail": "version 2 was never built: choose one that is `ready`"})
    platform.on("POST", "/agents/hello/rollback", refused)
    result = cast("rollback", "hello", "2")
    assert result.exit_code == 1
    assert "was never built" in result.stderr
