"""Request bodies of the routes for templates."""

from typing import Annotated

from pydantic import AliasChoices, Field

from local.sandboxes.engine import Limits
from local.sandboxes.server.errors import ApiError
from local.sandboxes.server.schemas import Body

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$"
_NAME_AND_TAG = r"^[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)?$"

Name = Annotated[str, Field(max_length=128, pattern=_NAME)]
NameAndTag = Annotated[str, Field(max_length=256, pattern=_NAME_AND_TAG)]
TagName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Tags = Annotated[list[TagName], Field(max_length=50)]


class NewBuild(Body):
    """The wish to build a template of a name, possibly with a tag, and what its sandboxes may use."""

    name: NameAndTag
    tags: Tags | None = None
    cpu_count: int | None = Field(default=None, ge=1, le=32)
    memory_mb: int | None = Field(default=None, alias="memoryMB", ge=128, le=65_536)
    min_free_disk_mb: int | None = Field(
        default=None, validation_alias=AliasChoices("minFreeDiskMB", "minFreeDiskMb"), ge=0, le=102_400
    )

    def limits(self, default: Limits) -> Limits:
        """What the template's sandboxes may use. Raises `ApiError`."""
        cpus = self.cpu_count or default.cpu_count
        if cpus != 1 and cpus % 2:
            raise ApiError(400, f"cpuCount: must be 1 or even, not {cpus}")
        return Limits(
            memory_mb=self.memory_mb or default.memory_mb,
            cpu_count=cpus,
            disk_mb=max(default.disk_mb, self.min_free_disk_mb or 0),
            pids=default.pids,
            open_files=default.open_files,
        )


class AssignTags(Body):
    """The wish that tags name what `target` names now."""

    target: NameAndTag
    tags: Annotated[Tags, Field(min_length=1)]


class RemoveTags(Body):
    """The wish that a template loses tags."""

    name: Name
    tags: Annotated[Tags, Field(min_length=1)]
