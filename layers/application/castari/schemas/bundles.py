"""Bundles, on their way in."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from castari.models import AgentStatus
from castari.schemas.shapes import Request, Response


class UploadUrlRequest(Request):
    """A bundle that will be stored by presigned URL."""

    size_bytes: Annotated[int, Field(ge=1)]
    filename: Annotated[
        str,
        Field(max_length=255, pattern=r"\.(tar\.gz|tgz|zip)$", description="tells the format by its end"),
    ] = "bundle.tar.gz"
    auto_deploy: bool = True


class UploadResponse(Response):
    """A bundle that was stored; `source_hash` is the SHA-256 of its bytes in hexadecimal."""

    agent_id: str
    source_hash: str
    status: AgentStatus
    sandbox_id: str | None
    message: str
    warnings: list[str]


class UploadUrlResponse(Response):
    """Where to PUT a bundle, with exactly these headers, before `expires_at`."""

    upload_url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    bundle_key: str
    expires_at: AwareDatetime
