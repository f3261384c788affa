"""Secrets Manager: one secret per agent, a JSON object of all its keys, and the platform's own."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from botocore.exceptions import ClientError
from pydantic import SecretStr

from castari.adapters.aws import aws_errors, error_code
from castari.models import PlatformSecrets

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

Values = dict[str, SecretStr]
_CACHED_VERSIONS = 256
_MISSING = "ResourceNotFoundException"


@dataclass(frozen=True)
class SecretStore:
    """Secrets of agents by agent id and version id. A version never changes, so it is read once a worker."""

    client: "SecretsManagerClient"
    prefix: str
    _cache: OrderedDict[tuple[str, str], Values] = field(default_factory=OrderedDict, repr=False)

    def read(self, agent_id: str, version_id: str | None) -> Values:
        """Return an agent's secrets as of a version (`None`: it has none)."""
        if version_id is None:
            return {}
        cached = (agent_id, version_id)
        if cached not in self._cache:
            self._cache[cached] = self._fetch(agent_id, version_id)
            while len(self._cache) > _CACHED_VERSIONS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(cached)
        return dict(self._cache[cached])

    def write(self, agent_id: str, values: Mapping[str, SecretStr]) -> str:
        """Store all of an agent's secrets as one version, which stays until it is released; return its id."""
        text = json.dumps({key: value.get_secret_value() for key, value in values.items()})
        with aws_errors("Secrets Manager"):
            try:
                return self._put(agent_id, text)
            except ClientError as error:
                if error_code(error) != _MISSING:
                    raise
            self._create(agent_id)
            return self._put(agent_id, text)

    def release(self, agent_id: str, version_id: str) -> None:
        """Let go of a version that no row points to; one that is gone is fine."""
        with aws_errors("Secrets Manager"):
            try:
                self.client.update_secret_version_stage(
                    SecretId=self._secret_id(agent_id),
                    VersionStage=_label(version_id),
                    RemoveFromVersionId=version_id,
                )
            except ClientError as error:
                if error_code(error) not in {_MISSING, "InvalidParameterException"}:
                    raise

    def delete(self, agent_id: str) -> None:
        """Remove all versions at once, without a recovery window; a secret that is gone is fine."""
        with aws_errors("Secrets Manager"):
            try:
                self.client.delete_secret(SecretId=self._secret_id(agent_id), ForceDeleteWithoutRecovery=True)
            except ClientError as error:
                if error_code(error) != _MISSING:
                    raise

    def _secret_id(self, agent_id: str) -> str:
        return f"{self.prefix}/{agent_id}"

    def _fetch(self, agent_id: str, version_id: str) -> Values:
        with aws_errors("Secrets Manager"):
            found = self.client.get_secret_value(SecretId=self._secret_id(agent_id), VersionId=version_id)
        return {key: SecretStr(value) for key, value in json.loads(found["SecretString"]).items()}

    def _put(self, agent_id: str, text: str) -> str:
        version_id = str(uuid4())
        # A version without a label is soon removed, and AWSCURRENT moves on with the next write, which may
        # come from a request that will lose. Each version's own label holds it until it is released.
        self.client.put_secret_value(
            SecretId=self._secret_id(agent_id),
            SecretString=text,
            ClientRequestToken=version_id,
            VersionStages=[_label(version_id)],
        )
        return version_id

    def _create(self, agent_id: str) -> None:
        """Make an empty secret: its first version is labelled AWSCURRENT for good."""
        try:
            self.client.create_secret(Name=self._secret_id(agent_id), SecretString="{}")
        except ClientError as error:
            if error_code(error) != "ResourceExistsException":
                raise


def _label(version_id: str) -> str:
    return f"castari-{version_id}"


def read_platform_secrets(client: "SecretsManagerClient", secret_id: str) -> PlatformSecrets:
    """Return what the operator stored once: the sandbox service's key and the like."""
    with aws_errors("Secrets Manager"):
        found = client.get_secret_value(SecretId=secret_id)
    return PlatformSecrets.model_validate_json(found["SecretString"])
