"""Deletions of agents that are under way."""

from typing import Self

from pydantic import AwareDatetime

from castari.models import Deletion, DeletionStep
from castari.schemas.shapes import Response


class DeletionResponse(Response):
    """How far the removal of an agent got; `message` says what interrupted it last."""

    agent_id: str
    slug: str
    requested_at: AwareDatetime
    done: list[DeletionStep]
    left: list[DeletionStep]
    message: str | None

    @classmethod
    def of_deletion(cls, deletion: Deletion) -> Self:
        """Return the public shape of a deletion."""
        return cls.of(deletion, done=list(deletion.done))
