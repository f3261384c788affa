"""Bundles: upload one, get a URL to store one, deploy the latest."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import File, Query, UploadFile

from castari.bootstrap import catalogue
from castari.http.routing import Caller, Named, create_router
from castari.schemas.agents import AgentResponse
from castari.schemas.bundles import UploadResponse, UploadUrlRequest, UploadUrlResponse

router = create_router()
_TAGS = ["bundles"]
_STORED = "bundle stored: POST …/deploy makes it active"
_DEPLOYING = "bundle stored, deploy started: poll the agent until it is `active` or `error`"


@router.post("/agents/<slug>/upload", summary="Upload a bundle", tags=_TAGS)
def upload_bundle(
    slug: Named,
    caller: Caller,
    file: Annotated[UploadFile, File(description="a tar.gz or zip archive of at most 6 MB")],
    auto_deploy: Annotated[bool, Query()] = True,
) -> UploadResponse:
    """Store a small bundle and, unless told otherwise, deploy it."""
    stored = catalogue.uploads().upload(caller, slug, file.content, auto_deploy=auto_deploy)
    return UploadResponse.of(
        stored.agent,
        source_hash=stored.source_hash,
        message=_DEPLOYING if auto_deploy else _STORED,
        warnings=list(stored.warnings),
    )


@router.post("/agents/<slug>/upload-url", summary="Get a URL to store a bundle", tags=_TAGS)
def create_upload_url(slug: Named, body: UploadUrlRequest, caller: Caller) -> UploadUrlResponse:
    """Return a URL that takes one PUT of a large bundle, which is then deployed as if uploaded here."""
    url = catalogue.uploads().upload_url(
        caller,
        slug,
        size_bytes=body.size_bytes,
        filename=body.filename,
        auto_deploy=body.auto_deploy,
    )
    return UploadUrlResponse(
        upload_url=url.url, headers=url.headers, bundle_key=url.bundle_key, expires_at=url.expires_at
    )


@router.post("/agents/<slug>/deploy", summary="Deploy the latest bundle", tags=_TAGS, status_code=202)
def deploy_agent(slug: Named, caller: Caller) -> AgentResponse:
    """Start a deploy and answer at once; poll the agent until it is `active` or `error`."""
    return AgentResponse.of_agent(catalogue.uploads().deploy(caller, slug))
