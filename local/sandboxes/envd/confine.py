"""What stands between an agent's process and the sandbox it runs in: applied after fork, before exec."""

from dataclasses import dataclass

from local.sandboxes.engine import Privileges


@dataclass(frozen=True)
class Confinement:
    """How envd confines each process it starts. `None` as the filter means no seccomp (bare engine)."""

    privileges: Privileges = "none"
    seccomp_filter: bytes | None = None
    open_files: int = 65_536
