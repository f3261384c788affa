"""SQS: one object per queue, which sends typed messages."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from castari.adapters.aws import aws_errors
from castari.errors import VendorUnavailable
from castari.messages import Message

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

_PAUSES_SECONDS = (0.0, 0.1, 0.4, 1.6)


@dataclass(frozen=True)
class Queue:
    """A standard queue: at least once, in no promised order."""

    client: "SQSClient"
    url: str
    most_at_once: ClassVar[int] = 10

    def send(self, message: Message, *, delay_seconds: int = 0, group: str | None = None) -> None:
        """Send one message, seen after `delay_seconds` (0 to 900). Raises `VendorUnavailable`.

        Of several groups with a backlog, the one with few messages need not wait for the one with many.
        """
        with aws_errors("SQS"):
            sent: dict[str, Any] = {"MessageGroupId": group} if group else {}
            self.client.send_message(
                QueueUrl=self.url,
                MessageBody=message.model_dump_json(),
                DelaySeconds=delay_seconds,
                **sent,
            )

    def send_many(self, messages: Sequence[Message], *, group: str | None = None) -> int:
        """Send up to `most_at_once` messages; return how many could not be sent, however often we tried."""
        left = {str(number): message.model_dump_json() for number, message in enumerate(messages)}
        for pause in _PAUSES_SECONDS:
            time.sleep(pause)
            with suppress(VendorUnavailable), aws_errors("SQS"):
                shared = {"MessageGroupId": group} if group else {}
                entries = [{"Id": name, "MessageBody": body, **shared} for name, body in left.items()]
                sent = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]
                left = {each["Id"]: left[each["Id"]] for each in sent.get("Failed", [])}
            if not left:
                break
        return len(left)

    def release(self, receipt_handle: str, *, seconds: int) -> None:
        """Let a received message be seen again after `seconds`. Raises `VendorUnavailable`."""
        with aws_errors("SQS"):
            self.client.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
