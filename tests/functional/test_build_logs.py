"""What a build says while it runs, and what it may not say."""

import json

from pydantic import SecretStr

from castari.bootstrap import catalogue, tables
from castari.errors import VendorUnavailable
from castari.models import LogEntry
from castari.services.build_logs import BuildLog
from tests.project import Project
from tests.unit.bundles import FILES, MANIFEST
from tests.world import World, unique

LOCKED = FILES | {"package.json": '{"dependencies": {"a": "1"}}', "package-lock.json": "{}"}


async def test_steps_and_output_stand_in_the_log_in_their_order(world: World, project: Project) -> None:
    world.runner.build_output["install"] = ["added 1 package\n", "in 2 s\n"]
    await project.deploy(LOCKED | {".env": "KEY=value"})
    told = [(entry.kind, entry.step, entry.text) for entry in project.log]
    assert told[0] == ("note", "", "version 1 of hello, attempt 1")
    assert "`.env` may hold a secret" in told[1][2]
    at = told.index(("step_started", "install", ""))
    assert told[at + 1 : at + 4] == [
        ("output", "install", "added 1 package\n"),
        ("output", "install", "in 2 s\n"),
        ("step_done", "install", "done"),
    ]
    assert told[-1] == ("note", told[-1][1], "active as version 1")
    assert [entry.offset for entry in project.log] == list(range(len(told)))
    (version,) = project.versions
    assert [step.name for step in version.steps] == ["fetch", "unpack", "install", "bundle"]
    assert version.warnings


async def test_a_failed_build_ends_its_log_with_why(world: World, project: Project) -> None:
    world.runner.build_failures["bundle"] = {"reason": "no such import", "remedy": "add it", "tail": "line 3"}
    await project.deploy()
    last = project.log[-1]
    assert (last.kind, last.step) == ("failed", "bundle")
    assert "no such import" in last.text
    assert "line 3" in last.text


async def test_a_build_secret_cut_between_two_pieces_is_kept_out(world: World, project: Project) -> None:
    agent = project.agent
    secret = "-----BEGIN KEY-----\nabcdef\n-----END KEY-----"
    catalogue.secrets().set(agent.user_id, agent.slug, "DEPLOY_KEY", SecretStr(secret))
    world.runner.build_output["install"] = ["key: -----BEGIN KEY", "-----\nabc", "def\n-----END KEY-----!\n"]
    manifest = json.dumps(MANIFEST | {"build_secrets": ["DEPLOY_KEY"]})
    await project.deploy(LOCKED | {"castari.json": manifest})
    said = "".join(entry.text for entry in project.log if entry.kind == "output")
    assert said == "key: [secret]!\n"


async def test_no_build_can_fill_the_table(world: World, project: Project) -> None:
    world.runner.build_output["install"] = ["x" * 8_000] * 400
    await project.deploy(LOCKED)
    said = [entry.text for entry in project.log if entry.kind == "output"]
    assert sum(map(len, said)) < 270_000
    assert said[-1].endswith("left out of this log\n")
    assert project.log[-1].text == "active as version 1"


class _Unreachable:
    def length(self, _version_id: str) -> int:
        raise VendorUnavailable("not now")


def test_a_log_that_cannot_be_written_is_no_reason_to_fail() -> None:
    log = BuildLog(_Unreachable(), "ver_x")  # type: ignore[arg-type]
    log.note("hello")
    log.failed("oh")


def test_the_log_of_a_worker_that_was_replaced_goes_nowhere(stack: dict[str, str]) -> None:
    assert stack
    table, name = tables.build_logs_table(), unique()
    stale, fresh = BuildLog(table, name), BuildLog(table, name)
    stale.note("one")
    fresh.note("two")
    stale.note("three")
    assert [entry.text for entry in table.read(name, offset=0, limit=9)] == ["one", "two"]


def test_a_log_is_read_from_any_entry_on_and_removed_whole(world: World) -> None:
    table, name = tables.build_logs_table(), unique()
    for offset in range(60):
        table.append(
            LogEntry(version_id=name, offset=offset, at=world.clock(), kind="note", step="", text=str(offset))
        )
    assert [entry.offset for entry in table.read(name, offset=57, limit=2)] == [57, 58]
    assert table.length(name) == 60
    table.delete(name)
    assert table.length(name) == 0
