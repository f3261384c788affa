"""Bundles that were stored: what is in one, and who put it there."""

from dataclasses import dataclass

from castari.adapters.bundle_bucket import BundleBucket
from castari.errors import Unprocessable
from castari.services import archives
from castari.services.archives import Bundle
from castari.settings import Limits


@dataclass(frozen=True)
class Bundles:
    """Looks into stored bundles without unpacking them."""

    bucket: BundleBucket
    limits: Limits

    def check(self, bundle_key: str) -> Bundle:
        """Read a bundle once. Raises `NotFound`, and `Unprocessable` naming what is wrong."""
        if self.bucket.about(bundle_key).size_bytes > self.limits.bundle_bytes:
            raise Unprocessable(
                f"the bundle is larger than {self.limits.bundle_bytes} bytes: make it smaller"
            )
        with self.bucket.open(bundle_key) as stream:
            return archives.check(stream)

    def put_by(self, bundle_key: str) -> str | None:
        """Return the id of the API key it was uploaded with; none where another S3 client put it."""
        return self.bucket.about(bundle_key).put_by
