"""Bundle bucket, secret store and queues over a local AWS."""

import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from castari.adapters.bundle_bucket import bundle_key
from castari.adapters.queues import Queue
from castari.bootstrap import clients, stores
from castari.errors import NotFound
from castari.ids import new_id
from castari.messages import MAINTENANCE, DeleteAgent, Refill

pytestmark = pytest.mark.usefixtures("stack")


def _put(url: str, content: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(  # noqa: S310 - our own loopback
        url, data=content, method="PUT", headers=headers
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return int(answer.status)


def test_a_bundle_is_read_as_it_was_stored() -> None:
    bucket, key = stores.bundle_bucket(), bundle_key("user_1", "poet", "abc", "zip", deploy=True)
    assert key == "bundles/user_1/poet/abc.zip"
    bucket.put(key, b"bundle", content_type="application/zip")
    with bucket.open(key) as stream:
        assert stream.read() == b"bundle"
    assert bucket.about(key) == (len(b"bundle"), None)


def test_a_missing_bundle_is_not_found() -> None:
    with pytest.raises(NotFound, match="upload it again"):
        stores.bundle_bucket().open("staged/nothing.zip")
    with pytest.raises(NotFound, match="upload it again"):
        stores.bundle_bucket().about("staged/nothing.zip")


def test_presigned_urls_store_and_fetch() -> None:
    bucket, key = stores.bundle_bucket(), bundle_key("user_1", "poet", new_id("up"), "zip", deploy=False)
    url, headers = bucket.upload_url(
        key, content_type="application/zip", size_bytes=3, put_by="key_1", seconds=60
    )
    assert "X-Amz-Signature=" in url
    assert _put(url, b"zip", headers) == 200
    assert bucket.about(key) == (3, "key_1")
    with urllib.request.urlopen(bucket.sandbox_get_url(key, seconds=60)) as answer:  # noqa: S310
        assert answer.read() == b"zip"


def test_only_objects_stored_before_a_time_are_listed_and_deleting_twice_is_fine() -> None:
    bucket, prefix = stores.bundle_bucket(), f"staged/{new_id('user')}/"
    for name in "ab":
        bucket.put(prefix + name, b"", content_type="application/zip")
    now = datetime.now(UTC)
    assert list(bucket.keys(prefix)) == [prefix + "a", prefix + "b"]
    assert list(bucket.keys(prefix, stored_before=now - timedelta(hours=1))) == []
    for _ in range(2):
        bucket.delete([prefix + "a", prefix + "b"])
    assert list(bucket.keys(prefix)) == []


def test_each_write_of_secrets_is_a_version_that_stays_readable() -> None:
    store, agent_id = stores.secret_store(), new_id("agent")
    assert store.read(agent_id, None) == {}
    first = store.write(agent_id, {"A": SecretStr("1")})
    second = store.write(agent_id, {"A": SecretStr("2"), "B": SecretStr("hidden")})
    assert store.read(agent_id, first) == {"A": SecretStr("1")}
    assert store.read(agent_id, second)["B"].get_secret_value() == "hidden"
    assert "hidden" not in repr(store)


def test_deleted_secrets_are_gone_and_deleting_twice_is_fine() -> None:
    store, agent_id = stores.secret_store(), new_id("agent")
    store.write(agent_id, {"A": SecretStr("1")})
    store.delete(agent_id)
    store.delete(agent_id)
    assert store.write(agent_id, {"A": SecretStr("2")})


def test_the_platforms_secret_is_read_and_never_printed() -> None:
    secrets = stores.platform_secrets()
    assert secrets.e2b_api_key.get_secret_value() == "e2b_test"
    assert "e2b_test" not in repr(secrets)


def test_messages_arrive_as_they_were_sent() -> None:
    client = clients.sqs()
    queue = Queue(client, client.create_queue(QueueName="test-messages")["QueueUrl"])
    sent = [
        Refill(user_id="user_1", slug="poet"),
        DeleteAgent(
            user_id="user_1", slug="poet", agent_id="a", requested_at=datetime(2026, 1, 2, tzinfo=UTC)
        ),
    ]
    for message in sent:
        queue.send(message)
    answers = [client.receive_message(QueueUrl=queue.url, WaitTimeSeconds=1) for _ in sent]
    bodies = [each["Body"] for answer in answers for each in answer.get("Messages", [])]
    assert [MAINTENANCE.validate_json(body) for body in bodies] == sent
