"""Slugs name agents: lowercase letters, digits and hyphens."""

import re

from cast.errors import UsageMistake

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def require_slug(text: str) -> str:
    """Return the text if it can name an agent. Raises `UsageMistake`."""
    if not SLUG.fullmatch(text):
        raise UsageMistake(
            f"`{text}` cannot name an agent",
            "a slug has at most 63 lowercase letters, digits and hyphens; `cast agents list` shows yours",
        )
    return text


def slug_of(name: str) -> str:
    """Return the slug that a display name makes; empty when none of it can be kept."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-")
