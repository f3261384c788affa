"""What an attempt is told through its environment: secrets, the prompt, and where to hand in its result."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from castari.adapters.results import ResultBucket, log_key, response_key, result_key
from castari.adapters.secret_store import SecretStore
from castari.models import GIT_SECRETS, Agent, Invocation
from castari.settings import Limits

_RUN = "/home/user/.castari/run"
RUN_COMMAND = (
    # Versions that were built on an earlier template have no `start`.
    f"[[ -f /opt/castari/start ]] && . /opt/castari/start {_RUN}; exec python3 -I -S /opt/castari run {_RUN}"
)
STANDBY_COMMAND = f"[[ -f /opt/castari/standby ]] && . /opt/castari/standby {_RUN}"
"""Boots the runner and the agent's interpreter, which then wait for the one attempt of their sandbox."""
COMMAND_GRACE_SECONDS = 1
"""The runner ends the agent at the limit and has this long to report; then the command is ended."""
_URL_GRACE_SECONDS = 60
_STDERR_BYTES = 32 * 1024
_PLATFORM_KEY = "ANTHROPIC_API_KEY"
_REDIRECTS = frozenset({"ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"})


@dataclass(frozen=True)
class Environments:
    """Puts environments together; their values stay sealed until the adapter hands them to a sandbox."""

    secrets: SecretStore
    results: ResultBucket
    limits: Limits
    platform_key: SecretStr | None = None

    def of_attempt(
        self, agent: Agent, invocation: Invocation, attempt: int, *, attended: bool
    ) -> dict[str, SecretStr]:
        """Return the whole environment of one attempt. Raises `VendorUnavailable`.

        `attended`: whoever listens finishes by the runner's closing frame, so storing the result can wait.
        """
        withheld = set(agent.active_version.build_secrets if agent.active_version else ())
        if agent.source_type == "git":
            withheld |= GIT_SECRETS
        stored = self.secrets.read(agent.agent_id, agent.secret_version_id)
        values = {name: value for name, value in stored.items() if name not in withheld}
        if self.platform_key and not (values.keys() & {_PLATFORM_KEY, *_REDIRECTS}):
            # An agent that talks to another server brings its own key: ours must not travel there.
            values[_PLATFORM_KEY] = self.platform_key
        job = self._job(invocation, attempt) | {"attended": attended}
        if invocation.prompt is not None:
            values["CASTARI_PROMPT"] = SecretStr(base64.b64encode(invocation.prompt.encode()).decode())
        values["CASTARI_JOB"] = SecretStr(json.dumps(job))
        return values

    def _job(self, invocation: Invocation, attempt: int) -> dict[str, Any]:
        seconds = invocation.timeout_seconds + _URL_GRACE_SECONDS
        key = invocation.prompt_key
        return {
            "invocation_id": invocation.invocation_id,
            "attempt": attempt,
            "timeout_seconds": invocation.timeout_seconds,
            "prompt_url": self.results.prompt_url(key, seconds=seconds) if key else None,
            "prompt_bytes": self.limits.prompt_bytes,
            "kept_bytes": self.limits.output_kept_bytes,
            "inline_bytes": self.limits.row_inline_bytes,
            "stderr_bytes": _STDERR_BYTES,
            "log_bytes": self.limits.log_kept_bytes,
            "spool_folder": spool_folder(invocation.invocation_id, attempt),
            "keeps_processes": invocation.in_session,
            "result_url": self.results.put_url(
                result_key(invocation.invocation_id, attempt), seconds=seconds
            ),
            "output_url": self.results.put_url(
                response_key(invocation.invocation_id, attempt), seconds=seconds
            ),
            "log_url": self.results.put_url(log_key(invocation.invocation_id, attempt), seconds=seconds),
        }


def spool_folder(invocation_id: str, attempt: int) -> str:
    """Return where the runner keeps what the agent has printed so far; the agent may do there as it likes."""
    return f"/home/user/.castari/output/{invocation_id}.{attempt}"
