"""What every AWS adapter shares: how a client is made, and what its errors become."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from castari.errors import VendorUnavailable


def client_config(service: str) -> Config:
    """Return short timeouts and standard retries: an HTTP caller waits at most 30 s for all of it."""
    return Config(
        connect_timeout=2,
        read_timeout=10,
        retries={"mode": "standard", "max_attempts": 3},
        # S3 still presigns with version 2 where a region allows it.
        signature_version="s3v4" if service == "s3" else "v4",
        # Presigned URLs must not demand a checksum header of whoever uses them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        tcp_keepalive=True,
    )


def error_code(error: ClientError) -> str:
    """Return AWS's name for the error, such as `ConditionalCheckFailedException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def condition_failed(error: ClientError) -> bool:
    """Tell whether a conditional write lost."""
    return error_code(error) == "ConditionalCheckFailedException"


def found_item(error: ClientError) -> dict[str, Any] | None:
    """Return the row a failed condition met (asked for by `ReturnValuesOnConditionCheckFailure`), or None."""
    return error.response.get("Item")  # type: ignore[return-value]  # the stubs do not know this member


@contextmanager
def aws_errors(service: str) -> Iterator[None]:
    """Turn what AWS or the network raises into `VendorUnavailable`; our own errors pass.

    An adapter handles the codes that mean something to it inside this block.
    """
    try:
        yield
    except ClientError as error:
        raise VendorUnavailable(f"{service} answered {error_code(error)}: try again in a moment") from error
    except BotoCoreError as error:
        raise VendorUnavailable(
            f"{service} cannot be reached ({type(error).__name__}): try again in a moment"
        ) from error
