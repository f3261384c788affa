"""S3: long prompts on their way in, results, long answers and long logs on their way out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, error_code
from castari.errors import NotFound
from castari.models import Invocation

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# Without the right to list a bucket, S3 does not tell a missing object from a forbidden one.
_MISSING = frozenset({"NoSuchKey", "404", "403", "AccessDenied"})
_PAST_THE_END = frozenset({"InvalidRange", "416"})


@dataclass(frozen=True)
class ResultBucket:
    """The result bucket; `sandbox_client` signs for sandboxes, which may see S3 under another address."""

    client: "S3Client"
    sandbox_client: "S3Client"
    name: str

    def put_prompt(self, invocation_id: str, prompt: str) -> str:
        """Store a prompt that is too long for a row, and return its key."""
        key = f"prompts/{invocation_id}"
        with aws_errors("S3"):
            self.client.put_object(Bucket=self.name, Key=key, Body=prompt.encode(), ContentType="text/plain")
        return key

    def read(self, key: str, *, limit_bytes: int) -> tuple[bytes, bool]:
        """Return an object's first `limit_bytes` and whether that is all. Raises `NotFound`."""
        with aws_errors("S3"):
            try:
                found = self.client.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if error_code(error) not in _MISSING:
                    raise
                raise NotFound(f"nothing is stored as {key}") from error
            with found["Body"] as body:
                # Its length is not told where a hop on the way sends it in chunks.
                content = body.read(limit_bytes + 1)
                return content[:limit_bytes], len(content) <= limit_bytes

    def read_part(self, key: str, *, offset: int, limit_bytes: int) -> bytes:
        """Return up to `limit_bytes` of an object from a byte on; past its end, none. Raises `NotFound`."""
        with aws_errors("S3"):
            try:
                found = self.client.get_object(
                    Bucket=self.name, Key=key, Range=f"bytes={offset}-{offset + limit_bytes - 1}"
                )
            except ClientError as error:
                if error_code(error) in _PAST_THE_END:
                    return b""
                if error_code(error) not in _MISSING:
                    raise
                raise NotFound(f"nothing is stored as {key}") from error
            with found["Body"] as body:
                return body.read(limit_bytes)

    def prompt_url(self, key: str, *, seconds: int) -> str:
        """Return a URL from which the sandbox fetches the prompt."""
        return self.sandbox_client.generate_presigned_url(
            "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
        )

    def put_url(self, key: str, *, seconds: int) -> str:
        """Return a URL that takes one PUT, the first: the sandbox must send `If-None-Match: *`."""
        return self.sandbox_client.generate_presigned_url(
            "put_object", Params={"Bucket": self.name, "Key": key, "IfNoneMatch": "*"}, ExpiresIn=seconds
        )

    def delete(self, invocation: Invocation) -> None:
        """Remove all that was stored for an invocation."""
        attempts = range(1, invocation.attempt + 1)
        keys = [
            *([invocation.prompt_key] if invocation.prompt_key else []),
            *(result_key(invocation.invocation_id, attempt) for attempt in attempts),
            *(response_key(invocation.invocation_id, attempt) for attempt in attempts),
            *(log_key(invocation.invocation_id, attempt) for attempt in attempts),
        ]
        with aws_errors("S3"):
            for key in keys:
                self.client.delete_object(Bucket=self.name, Key=key)


def result_key(invocation_id: str, attempt: int) -> str:
    """Return where an attempt's result is handed in; storing it there is an event."""
    return f"results/{invocation_id}/{attempt}/result.json"


def response_key(invocation_id: str, attempt: int) -> str:
    """Return where an attempt's answer is handed in when it is long."""
    return f"responses/{invocation_id}/{attempt}"


def log_key(invocation_id: str, attempt: int) -> str:
    """Return where an attempt's stderr is handed in when it is long."""
    return f"logs/{invocation_id}/{attempt}"


def parse_result_key(key: str) -> tuple[str, int] | None:
    """Return the invocation id and attempt of a result's key, or None for any other key."""
    parts = key.split("/")
    match parts:
        case ["results", invocation_id, attempt, "result.json"] if attempt.isascii() and attempt.isdigit():
            return invocation_id, int(attempt)
        case _:
            return None
