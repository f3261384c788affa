"""Bundles over HTTP: uploads, URLs to upload by, deploys."""

import hashlib
import io
import re
import tarfile
import urllib.request
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from castari.adapters.bundle_bucket import BundleBucket
from castari.adapters.queues import Queue
from castari.bootstrap import catalogue, clients, stores, tables
from castari.errors import VendorUnavailable
from castari.messages import DeployBundle, Message
from castari.models import Agent, ApiKey
from tests.functional.conftest import Account
from tests.gateway import Reply, multipart


def _tar(name: str = "castari.json", kind: bytes = tarfile.REGTYPE) -> bytes:
    packed, entry, content = io.BytesIO(), tarfile.TarInfo(name), b"{}"
    entry.type, entry.linkname, entry.size = kind, "target", len(content)
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("castari.json", "{}")
    return packed.getvalue()


TAR = _tar()
FORM = "multipart/form-data; boundary=x"
ZIP = _zip()


@pytest.fixture
def poet(account: Account) -> Account:
    account.api.request("POST", "/agents", {"name": "Poet"})
    return account


def _upload(account: Account, content: bytes, **query: object) -> Reply:
    body, content_type = multipart(content)
    return account.api.send("POST", "/agents/poet/upload", body, content_type, **query)


def _agent(account: Account) -> Agent:
    return catalogue.agents().get(account.user_id, "poet")


def _key(account: Account) -> ApiKey:
    (key,) = tables.api_keys_table().list(account.user_id, limit=1, offset=0)
    return key


def _stored(key: str | None) -> bytes:
    assert key is not None
    with stores.bundle_bucket().open(key) as stream:
        return stream.read()


def test_an_upload_is_stored_where_its_event_starts_a_deploy(poet: Account) -> None:
    reply = _upload(poet, TAR)
    assert reply.status == 200
    digest = hashlib.sha256(TAR).hexdigest()
    assert set(reply.json) == {"agent_id", "source_hash", "status", "sandbox_id", "message", "warnings"}
    assert (reply.json["source_hash"], reply.json["status"]) == (digest, "deploying")
    agent = _agent(poet)
    assert (agent.status, agent.source_hash) == ("deploying", None)
    assert agent.bundle_key == f"bundles/{poet.user_id}/poet/{digest}.tar.gz"
    assert _stored(agent.bundle_key) == TAR


def test_an_upload_without_deploy_only_stages(poet: Account) -> None:
    reply = _upload(poet, ZIP, auto_deploy="false")
    assert reply.json["status"] == "draft"
    assert _agent(poet).bundle_key == f"staged/{poet.user_id}/poet/{reply.json['source_hash']}.zip"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"\x1f",
        b"\x00" * 100,
        TAR[: len(TAR) // 2],
        b"\x1f\x8b" + TAR[10:],
        ZIP[: len(ZIP) // 2],
        b"PK\x03\x04",
    ],
    ids=range(8),
)
def test_what_is_no_whole_archive_is_refused(poet: Account, content: bytes) -> None:
    reply = _upload(poet, content)
    assert reply.status == 422
    assert reply.json["detail"][0]["loc"] == ["body", "file"]
    assert _agent(poet).status == "draft"


@pytest.mark.parametrize(
    "content",
    [_tar("../escape"), _tar("/etc/passwd"), _tar("link", tarfile.SYMTYPE), _tar("dev", tarfile.CHRTYPE)],
    ids=["parent", "absolute", "link", "device"],
)
def test_a_hostile_archive_is_refused_by_the_name_of_its_entry(poet: Account, content: bytes) -> None:
    reply = _upload(poet, content)
    assert reply.status == 422
    assert re.search("escape|passwd|link|dev", reply.json["detail"][0]["msg"])
    assert _agent(poet).status == "draft"


def test_a_bundle_too_large_is_told_the_other_way(poet: Account) -> None:
    reply = _upload(poet, TAR + bytes(6 * 1024 * 1024))
    assert reply.status == 413
    assert "upload-url" in reply.json["detail"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--x--\r\n", FORM),
        (b"", FORM),
        (b"x", "multipart/form-data"),
        (b"\xff\xfe\x00", "multipart/form-data; boundary=\xff"),
        (TAR, "application/gzip"),
        (b"{}", "application/json"),
        (multipart(TAR, name="archive")[0], multipart(TAR)[1]),
        (multipart(TAR, filename="")[0][:80], multipart(TAR)[1]),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--x--', FORM),
        (b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n?\r\n--x--', FORM),
    ],
)  # fmt: skip
def test_a_broken_form_is_refused_and_changes_nothing(poet: Account, body: bytes, content_type: str) -> None:
    reply = poet.api.send("POST", "/agents/poet/upload", body, content_type)
    assert reply.status in {400, 422}
    assert reply.json["detail"]
    assert _agent(poet).status == "draft"


class _FullBucket(BundleBucket):
    def put(self, key: str, content: bytes, *, content_type: str, put_by: str | None = None) -> None:
        raise VendorUnavailable(f"no room for {key}: {len(content)} bytes of {content_type} by {put_by}")


class _DeadQueue(Queue):
    def send(self, message: Message, *, delay_seconds: int = 0, group: str | None = None) -> None:
        raise VendorUnavailable(f"not now: {message} of {group} in {delay_seconds}")


def test_a_bundle_that_cannot_be_stored_leaves_no_deploy_behind(poet: Account) -> None:
    bucket = stores.bundle_bucket()
    broken = _FullBucket(bucket.client, bucket.sandbox_client, bucket.name)
    uploads = replace(catalogue.uploads(), bucket=broken)
    with pytest.raises(VendorUnavailable):
        uploads.upload(_key(poet), "poet", TAR, auto_deploy=True)
    assert (_agent(poet).status, _agent(poet).bundle_key) == ("draft", None)


def test_a_deploy_that_cannot_be_sent_leaves_the_agent_as_it_was(poet: Account) -> None:
    _upload(poet, TAR, auto_deploy="false")
    queue = stores.deploy_queue()
    uploads = replace(catalogue.uploads(), deploys=_DeadQueue(queue.client, queue.url))
    with pytest.raises(VendorUnavailable):
        uploads.deploy(_key(poet), "poet")
    assert _agent(poet).status == "draft"


def _put(url: str, content: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, data=content, method="PUT", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own loopback
        return int(answer.status)


def test_a_large_bundle_is_stored_by_its_url(poet: Account) -> None:
    body = {"size_bytes": len(ZIP), "filename": "my bundle.zip"}
    ticket = poet.api.request("POST", "/agents/poet/upload-url", body).json
    assert ticket["method"] == "PUT"
    assert ticket["bundle_key"].startswith(f"bundles/{poet.user_id}/poet/")
    assert ticket["bundle_key"].endswith(".zip")
    assert _put(ticket["upload_url"], ZIP, ticket["headers"]) == 200
    assert _stored(ticket["bundle_key"]) == ZIP


def test_a_staged_url_is_what_the_next_deploy_takes(poet: Account) -> None:
    body: dict[str, Any] = {"size_bytes": len(TAR), "auto_deploy": False}
    ticket = poet.api.request("POST", "/agents/poet/upload-url", body).json
    assert ticket["bundle_key"].startswith("staged/")
    assert _agent(poet).bundle_key == ticket["bundle_key"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"size_bytes": 251 * 1024 * 1024}, 413),
        ({"size_bytes": 0}, 422),
        ({"size_bytes": 1, "filename": "x.rar"}, 422),
        ({}, 422),
    ],
)
def test_a_url_for_what_cannot_be_deployed_is_refused(
    poet: Account, body: dict[str, Any], status: int
) -> None:
    assert poet.api.request("POST", "/agents/poet/upload-url", body).status == status


def test_a_deploy_answers_at_once_and_is_queued(poet: Account) -> None:
    _upload(poet, TAR, auto_deploy="false")
    reply = poet.api.request("POST", "/agents/poet/deploy")
    assert (reply.status, reply.json["status"]) == (202, "deploying")
    queue, bodies = stores.deploy_queue(), []
    while found := clients.sqs().receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [DeployBundle.model_validate_json(each["Body"]) for each in found]
    [message] = [each for each in bodies if each.agent.user_id == poet.user_id]
    assert message.bundle_key == _agent(poet).bundle_key


def test_there_is_nothing_to_deploy_before_an_upload(poet: Account) -> None:
    reply = poet.api.request("POST", "/agents/poet/deploy")
    assert reply.status == 409
    assert "upload one first" in reply.json["detail"]
