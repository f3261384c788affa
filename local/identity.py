"""What tells one local stack from another: its random names, its ports and its keys.

Credentials of functions derive from function and role names on the local AWS, and those from the stack's
name: so the name is as random as the keys.
"""

import dataclasses
import json
import secrets
import socket
from pathlib import Path

from local.places import write_private

REGION = "us-east-1"
ACCOUNT = "000000000000"
_GATEWAY_PORT = 8780
_SANDBOX_PORT = 8781
_RELAY_PORT = 8782
_CALLBACK_PORT = 8783


@dataclasses.dataclass(frozen=True)
class Identity:
    """One stack. Its keys open the whole local AWS: they go into files of mode 0600 only."""

    instance: str
    stack_name: str
    root_key_id: str
    root_secret: str
    sandbox_api_key: str
    gateway_port: int
    sandbox_port: int
    relay_address: str
    relay_port: int
    callback_port: int
    """Where callbacks may go by http: nothing of the stack's own listens there."""
    server_code: str = ""
    """A hash of the code that the sandbox server was started from."""

    @property
    def aws_url(self) -> str:
        """Where the local AWS answers, on loopback."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def sandbox_url(self) -> str:
        """Where the sandbox server answers, on loopback."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def relay_url(self) -> str:
        """Where sandboxes reach the two buckets."""
        return f"http://{self.relay_address}:{self.relay_port}"

    @property
    def buckets(self) -> tuple[str, str]:
        """The template's bundle and result buckets."""
        return f"{self.stack_name}-bundles-{ACCOUNT}", f"{self.stack_name}-results-{ACCOUNT}"

    @property
    def aws_environment(self) -> dict[str, str]:
        """What an AWS client needs to be the operator."""
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.root_key_id,
            "AWS_SECRET_ACCESS_KEY": self.root_secret,
        }

    def save(self, path: Path) -> None:
        """Write it to a file that only its owner can read."""
        write_private(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")


def new(instance: str, *, relay_address: str, server_code: str) -> Identity:
    """Return an identity with fresh names and keys and free ports."""
    return Identity(
        instance=instance,
        stack_name=f"castari-{secrets.token_hex(8)}",
        root_key_id=f"ROOT{secrets.token_hex(16).upper()}",
        root_secret=secrets.token_hex(32),
        sandbox_api_key=f"e2b_{secrets.token_hex(20)}",
        gateway_port=_free_port(_GATEWAY_PORT),
        sandbox_port=_free_port(_SANDBOX_PORT),
        relay_address=relay_address,
        relay_port=_free_port(_RELAY_PORT),
        callback_port=_free_port(_CALLBACK_PORT),
        server_code=server_code,
    )


def load(path: Path) -> Identity | None:
    """Return the identity that `save` wrote, or None where there is none that this code understands."""
    try:
        return Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def _free_port(preferred: int) -> int:
    """Return `preferred` if nobody listens on it, else a port that the kernel picks."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # Else a port rests for a minute after its use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    message = "no free port on 127.0.0.1: end what holds them"
    raise OSError(message)
