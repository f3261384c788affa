"""What a template says of the processes that run in its sandboxes."""

from dataclasses import dataclass, field

DEFAULT_USER = "user"


@dataclass(frozen=True)
class Runtime:
    """Variables of every command, who runs it and where, and what runs from the beginning.

    `start_command` runs as long as the sandbox; the sandbox is there once `ready_command` succeeds.
    """

    env: dict[str, str] = field(default_factory=dict)
    user: str = DEFAULT_USER
    workdir: str = ""
    start_command: str = ""
    ready_command: str = ""
