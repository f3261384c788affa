"""SQS: one object per queue, which sends typed messages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from castari.adapters.aws import aws_errors
from castari.messages import Message

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Queue:
    """A standard queue: at least once, in no promised order."""

    client: "SQSClient"
    url: str

    def send(self, message: Message, *, delay_seconds: int = 0) -> None:
        """Send one message, seen after `delay_seconds` (0 to 900). Raises `VendorUnavailable`."""
        with aws_errors("SQS"):
            self.client.send_message(
                QueueUrl=self.url, MessageBody=message.model_dump_json(), DelaySeconds=delay_seconds
            )

    def release(self, receipt_handle: str, *, seconds: int) -> None:
        """Let a received message be seen again after `seconds`. Raises `VendorUnavailable`."""
        with aws_errors("SQS"):
            self.client.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
