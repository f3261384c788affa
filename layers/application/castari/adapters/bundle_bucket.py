"""S3: where bundles arrive. A key under `bundles/` starts a deploy, one under `staged/` does not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from botocore.exceptions import ClientError

from castari.adapters.aws import aws_errors, error_code
from castari.errors import NotFound

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BundleFormat = Literal["tar.gz", "zip"]
CONTENT_TYPES: dict[BundleFormat, str] = {"tar.gz": "application/gzip", "zip": "application/zip"}

_PUT_BY = "castari-put-by"
"""User metadata of an object: the id of the API key with which it was uploaded."""


class About(NamedTuple):
    """What S3 knows of a bundle; `put_by` is None where a client of S3 itself put it."""

    size_bytes: int
    put_by: str | None


_CHECKOUTS = "git"


def bundle_key(user_id: str, slug: str, name: str, kind: BundleFormat, *, deploy: bool) -> str:
    """Return the object key of a bundle; `deploy` says whether storing it starts a deploy."""
    return f"{'bundles' if deploy else 'staged'}/{user_id}/{slug}/{name}.{kind}"


def checkout_key(user_id: str, slug: str, name: str) -> str:
    """Return the key of a bundle that the deploy itself will make from the agent's git repository."""
    return bundle_key(user_id, slug, f"{_CHECKOUTS}/{name}", "tar.gz", deploy=False)


def is_checkout(key: str) -> bool:
    """Tell whether a bundle of this key is made from a repository."""
    return key.split("/")[3:4] == [_CHECKOUTS]


@dataclass(frozen=True)
class BundleBucket:
    """The bundle bucket; `client` signs for our own callers, `sandbox_client` for sandboxes.

    They differ where a sandbox reaches S3 under another address than we do: a signature covers the host.
    """

    client: "S3Client"
    sandbox_client: "S3Client"
    name: str

    def put(self, key: str, content: bytes, *, content_type: str, put_by: str | None = None) -> None:
        """Store a bundle, marked with the id of the API key it came with."""
        with aws_errors("S3"):
            self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=content,
                ContentType=content_type,
                Metadata={_PUT_BY: put_by} if put_by else {},
            )

    def open(self, key: str) -> IO[bytes]:
        """Return a stream of the bundle's bytes, to be closed by the caller. Raises `NotFound`."""
        with aws_errors("S3"):
            try:
                found = self.client.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if error_code(error) not in {"NoSuchKey", "404"}:
                    raise
                raise NotFound("the bundle is gone: upload it again") from error
        return found["Body"]  # type: ignore[return-value]  # a StreamingBody reads like a file

    def about(self, key: str) -> About:
        """Return the bundle's size and origin. Raises `NotFound`."""
        with aws_errors("S3"):
            try:
                found = self.client.head_object(Bucket=self.name, Key=key)
                return About(found["ContentLength"], found.get("Metadata", {}).get(_PUT_BY))
            except ClientError as error:
                if error_code(error) not in {"NoSuchKey", "404"}:
                    raise
                raise NotFound("the bundle is gone: upload it again") from error

    def upload_url(
        self, key: str, *, content_type: str, size_bytes: int, put_by: str, seconds: int
    ) -> tuple[str, dict[str, str]]:
        """Return a URL that takes one PUT of exactly `size_bytes`, and the headers that must go with it."""
        url = self.client.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self.name,
                "Key": key,
                "ContentType": content_type,
                "ContentLength": size_bytes,
                "Metadata": {_PUT_BY: put_by},
            },
            ExpiresIn=seconds,
        )
        return url, {
            "Content-Type": content_type,
            "Content-Length": str(size_bytes),
            f"x-amz-meta-{_PUT_BY}": put_by,
        }

    def sandbox_get_url(self, key: str, *, seconds: int) -> str:
        """Return a URL from which a sandbox fetches the object."""
        return self.sandbox_client.generate_presigned_url(
            "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
        )

    def sandbox_put_url(self, key: str, *, seconds: int) -> str:
        """Return a URL to which a sandbox stores an object."""
        return self.sandbox_client.generate_presigned_url(
            "put_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
        )

    def keys(self, prefix: str, *, stored_before: datetime | None = None) -> Iterator[str]:
        """Yield the keys under a prefix, of objects stored before a time where one is given."""
        with aws_errors("S3"):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix
            ):
                for found in page.get("Contents", []):
                    if stored_before is None or found["LastModified"] < stored_before:
                        yield found["Key"]

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects one by one; one that is gone is fine."""
        with aws_errors("S3"):
            for key in keys:
                self.client.delete_object(Bucket=self.name, Key=key)
