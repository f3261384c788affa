"""What the events of S3 and SQS ask for, taken out of AWS's envelopes."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from castari.messages import AgentKey, DeployBundle

_KEY_PARTS = 4


def stored_keys(event: dict[str, Any]) -> list[str]:
    """Return the keys of an S3 event; S3 sends them URL encoded."""
    return [unquote_plus(record["s3"]["object"]["key"]) for record in event.get("Records", [])]


def deploys_of(body: str) -> list[DeployBundle]:
    """Return the deploys that a message on the deploy queue asks for: one of ours, or S3's own event.

    S3's test event and keys that name no agent ask for none. Raises `ValueError` for anything else.
    """
    found = json.loads(body)
    if "bundle_key" in found:
        return [DeployBundle.model_validate(found)]
    if "Records" not in found and found.get("Event") != "s3:TestEvent":
        raise ValueError("neither a deploy nor an event of S3")
    stored = zip(found.get("Records", []), stored_keys(found), strict=True)
    return [wish for record, key in stored if (wish := _deploy_of(record, key))]


def _deploy_of(record: dict[str, Any], key: str) -> DeployBundle | None:
    parts = key.split("/", _KEY_PARTS - 1)
    if len(parts) != _KEY_PARTS or parts[0] != "bundles":
        return None
    return DeployBundle(
        agent=AgentKey(user_id=parts[1], slug=parts[2]),
        bundle_key=key,
        # S3 tells an event more than once now and then, each time with the same sequencer.
        request_id=f"{key} {record['s3']['object'].get('sequencer', '')}",
        requested_at=datetime.fromisoformat(record["eventTime"]),
    )
