"""The dotenv file that tells clients, tests and benches where the local stack is."""

from collections.abc import Mapping
from pathlib import Path

from local.identity import Identity
from local.places import write_private


def describe(identity: Identity, *, api_url: str, long_invoke_url: str, api_key: str) -> dict[str, str]:
    """Return every variable of the file."""
    bundles, results = identity.buckets
    return {
        "CASTARI_API_URL": api_url,
        "CASTARI_API_KEY": api_key,
        "CASTARI_LONG_INVOKE_URL": long_invoke_url,
        "CASTARI_CALLBACK_URL": f"http://127.0.0.1:{identity.callback_port}",
        "CASTARI_STACK_NAME": identity.stack_name,
        "CASTARI_INSTANCE": identity.instance,
        "CASTARI_BUNDLE_BUCKET": bundles,
        "CASTARI_RESULT_BUCKET": results,
        "CASTARI_RELAY_URL": identity.relay_url,
        **identity.aws_environment,
        "E2B_API_URL": identity.sandbox_url,
        "E2B_SANDBOX_URL": identity.sandbox_url,
        "E2B_API_KEY": identity.sandbox_api_key,
    }


def write(path: Path, variables: Mapping[str, str]) -> None:
    """Write `NAME=value` lines, readable by their owner alone. No value needs quotes."""
    write_private(path, "".join(f"{name}={value}\n" for name, value in variables.items()))


def read(path: Path) -> dict[str, str]:
    """Return what `write` wrote. Raises `FileNotFoundError` where no stack is up."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
