"""The settings of this deployment, read once for a worker."""

import os
from functools import cache

from castari import settings as settings_module
from castari.settings import Settings


@cache
def settings() -> Settings:
    """Read the environment once."""
    return settings_module.load(os.environ)
