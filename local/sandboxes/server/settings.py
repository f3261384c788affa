"""What the server is told when it starts."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Settings of one server. Times in seconds."""

    api_key: str
    state_dir: Path
    max_sandboxes: int = 100
    max_timeout_seconds: int = 24 * 3600
    default_timeout_seconds: int = 300
