"""Deliveries of deploys: late, twice, out of order, and such as can never succeed."""

import asyncio
import importlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from castari.adapters.queues import Queue
from castari.bootstrap import catalogue, stores, tables
from castari.errors import CastariError, SandboxLost, VendorRateLimited, VendorUnavailable
from castari.messages import CheckDeploy, Message
from castari.models import Version
from castari.services.archives import Bundle
from castari.services.bundles import Bundles
from castari.services.deploys import DeployAbandoned
from castari.settings import Limits
from tests.functional.conftest import Account
from tests.gateway import Context
from tests.project import Project
from tests.unit.bundles import FILES
from tests.world import World

EVENTS = Path(__file__).parents[2] / "events"
CHANGED = FILES | {"src/index.ts": "changed"}


@pytest.mark.parametrize("failure", [VendorRateLimited("no more"), SandboxLost("gone")])
async def test_what_the_sandbox_service_failed_at_is_tried_once_more(
    world: World, project: Project, failure: CastariError
) -> None:
    method = "create" if isinstance(failure, VendorRateLimited) else "snapshot"
    world.sandboxes.failures[method] = [failure]
    request = project.request(project.put())
    with pytest.raises(VendorUnavailable):
        await project.worker.deploys.deploy(request)
    assert project.agent.status == "deploying"
    assert await world.worker().deploys.deploy(request) == "active as version 1"
    (version,) = project.versions
    assert (version.status, version.attempt) == ("ready", 2)
    assert any("another worker tries once more" in entry.text for entry in project.log)


async def test_what_fails_twice_ends_as_an_error_and_among_the_dead_letters(
    world: World, project: Project
) -> None:
    world.sandboxes.failures["create"] = [VendorRateLimited("no more sandboxes")] * 2
    request = project.request(project.put())
    for _ in range(2):
        with pytest.raises(VendorUnavailable):
            await project.worker.deploys.deploy(request)
    assert project.agent.status == "error"
    assert "no more sandboxes" in str(project.agent.status_message)
    assert "nothing is wrong with the bundle" in str(project.agent.status_message)
    assert project.versions[0].status == "failed"
    assert not world.sandboxes.alive
    with pytest.raises(DeployAbandoned):
        await project.worker.deploys.deploy(request)


class _Broken(Bundles):
    def check(self, bundle_key: str) -> Bundle:
        raise ZeroDivisionError(bundle_key)


async def test_a_message_that_can_never_succeed_is_named_by_its_version(project: Project) -> None:
    known = project.worker.deploys
    deploys = replace(known, bundles=_Broken(known.bundles.bucket, known.bundles.limits))
    request = project.request(project.put())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await deploys.deploy(request)
    (version,) = project.versions
    assert (version.status, version.attempt) == ("failed", 2)
    assert "a reason inside the platform" in str(version.message)


async def test_a_delivery_while_another_worker_builds_changes_nothing(project: Project) -> None:
    request = project.request(project.put())
    version = project.worker.claims.first(project.agent, request, 1)
    project.worker.versions.create(version)
    assert await project.worker.deploys.deploy(request) == "being built already"
    assert project.versions == [version]


async def test_a_worker_that_was_replaced_writes_nothing_more(world: World, project: Project) -> None:
    request = project.request(project.put())

    async def taken_over() -> None:
        found = project.worker.claims.find(project.agent.agent_id, request)
        assert found
        if found.attempt == 1:
            project.worker.claims.take_over(found)

    world.runner.build_waits = taken_over
    assert await project.worker.deploys.deploy(request) == "another worker went on with it"
    (version,) = project.versions
    assert (version.status, version.attempt, version.snapshot_id) == ("building", 2, None)
    assert not world.sandboxes.sources
    assert project.agent.active_version is None


async def test_what_is_delivered_again_after_a_later_deploy_does_not_come_back(project: Project) -> None:
    early, late = project.request(project.put()), project.request(project.put(CHANGED))
    assert await project.worker.deploys.deploy(early) == "active as version 1"
    assert await project.worker.deploys.deploy(late) == "active as version 2"
    assert await project.worker.deploys.deploy(early) == "ended as ready already"
    assert project.agent.active_version
    assert project.agent.active_version.number == 2


async def test_of_two_bundles_delivered_the_wrong_way_round_the_later_one_serves(project: Project) -> None:
    early, late = project.request(project.put()), project.request(project.put(CHANGED))
    assert await project.worker.deploys.deploy(late) == "active as version 1"
    assert await project.worker.deploys.deploy(early) == "superseded"
    agent = project.agent
    assert agent.active_version
    assert (agent.status, agent.active_version.number) == ("active", 1)
    assert [version.status for version in project.versions] == ["ready", "superseded"]


def _begun(project: Project) -> Version:
    request = project.request(project.put())
    numbered = project.worker.switches.next_number(project.agent, request.requested_at)
    version = project.worker.claims.first(project.agent, request, numbered.number)
    built = version.model_copy(update={"snapshot_id": f"snapshot-of-{numbered.number}"})
    project.worker.versions.create(built)
    return built


async def test_of_two_deploys_at_once_the_later_one_wins(world: World, project: Project) -> None:
    early, late = _begun(project), _begun(project)
    world.sandboxes.snapshots |= {"snapshot-of-1": "base", "snapshot-of-2": "base"}
    log = project.worker.deploys._log(early)
    hand_over = project.worker.handovers.hand_over
    assert await hand_over(project.agent, late, log) == "active as version 2"
    assert await hand_over(project.agent, early, log) == "superseded"
    assert project.agent.active_version
    assert project.agent.active_version.snapshot_id == "snapshot-of-2"
    assert [version.status for version in project.versions] == ["ready", "superseded"]


async def test_an_early_deploy_that_ends_first_serves_while_the_later_one_builds(project: Project) -> None:
    early, _ = _begun(project), _begun(project)
    assert project.worker.switches.switch_to(early, None)
    agent = project.agent
    assert agent.active_version
    assert (agent.active_version.number, agent.status) == (1, "deploying")


async def test_a_later_deploy_that_failed_does_not_hide_that_the_early_one_serves(project: Project) -> None:
    early, late = _begun(project), _begun(project)
    project.worker.handovers.fail(late, project.worker.deploys._log(late), "no luck")
    statuses = [project.agent.status]
    assert project.worker.switches.switch_to(early, None)
    assert [*statuses, project.agent.status] == ["error", "active"]


async def test_an_agent_that_was_stopped_meanwhile_stays_stopped(world: World, project: Project) -> None:
    version = _begun(project)
    world.sandboxes.snapshots["snapshot-of-1"] = "base"
    tables.agents_table().update(project.agent, {"status": "stopped"})
    log = project.worker.deploys._log(version)
    await project.worker.handovers.hand_over(project.agent, version, log)
    assert project.agent.status == "stopped"
    assert not world.sandboxes.alive


async def test_an_agent_deleted_meanwhile_does_not_come_back(project: Project) -> None:
    version = _begun(project)
    tables.agents_table().delete(project.agent)
    assert project.worker.switches.switch_to(version, None) is None


async def test_a_worker_at_work_is_left_alone_and_looked_after_again(world: World, project: Project) -> None:
    request = project.request(project.put())
    project.worker.versions.create(project.worker.claims.first(project.agent, request, 1))
    check = CheckDeploy(agent_id=project.agent.agent_id, request=request)
    assert await project.worker.removals.carry_out(check) == "at work"
    assert [message for message, _ in world.maintenance.messages] == [check]
    assert world.deploys.messages == []


async def test_a_check_of_what_changed_nothing_does_nothing(world: World, project: Project) -> None:
    await project.deploy()
    assert await project.deploy() == "nothing changed"
    world.clock.pass_(minutes=5)
    for check, _ in list(world.maintenance.messages):
        if isinstance(check, CheckDeploy):
            assert await project.worker.removals.carry_out(check) in {"ended as ready", "nothing to do"}
    assert world.deploys.messages == []


async def test_past_its_deadline_a_build_is_shown_as_failed(project: Project) -> None:
    request = project.request(project.put())
    version = project.worker.claims.first(project.agent, request, 1)
    overdue = version.model_copy(update={"deadline_at": request.requested_at - timedelta(days=1)})
    project.worker.versions.create(overdue)
    agent = project.agent
    _, seen = catalogue.versions().get(agent.user_id, agent.slug, version.version_id)
    assert (seen.status, seen.message) == ("failed", "the deploy did not end in time: deploy again")


async def test_a_worker_renews_its_lease_while_it_builds(world: World) -> None:
    world.limits = Limits(deploy_lease_seconds=0)
    project = Project(world, world.worker())
    request = project.request(project.put())

    async def renewed() -> None:
        began = world.clock()
        world.clock.pass_(minutes=10)
        async with asyncio.timeout(30):
            while True:
                found = project.worker.claims.find(project.agent.agent_id, request)
                assert found
                assert found.lease_expires_at
                if found.lease_expires_at > began:
                    return
                await asyncio.sleep(0)

    world.runner.build_waits = renewed
    assert await project.worker.deploys.deploy(request) == "active as version 1"


class _Releases(Queue):
    """Notes which messages are to be seen again soon."""

    def release(self, receipt_handle: str, *, seconds: int) -> None:
        released.append((receipt_handle, seconds))

    def send(self, message: Message, *, delay_seconds: int = 0, group: str | None = None) -> None:
        raise AssertionError(f"nothing is sent: {message} of {group} in {delay_seconds}")


released: list[tuple[str, int]] = []


@pytest.mark.parametrize("body", ["no json", '{"agent": 1}', '{"bundle_key": "x"}', "[]"])
def test_a_message_that_nobody_understands_is_delivered_again_soon_until_it_is_a_dead_letter(
    account: Account, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert account
    released.clear()
    queue = stores.deploy_queue()
    monkeypatch.setattr(stores, "deploy_queue", lambda: _Releases(queue.client, queue.url))
    event = json.loads((EVENTS / "deploy_requested.json").read_text())
    event["Records"][0]["body"] = body
    answered: Any = importlib.import_module("functions.deploy.app").handler(event, Context())
    record = event["Records"][0]
    assert answered == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    assert released == [(record["receiptHandle"], 5)]
