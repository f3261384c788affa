"""An agent and its bundles, in a world of fakes, for tests of deploys."""

from castari.bootstrap import stores, tables
from castari.ids import new_id
from castari.messages import DeployBundle
from castari.models import Agent, LogEntry, Version
from tests.unit.bundles import FILES, tar_gz
from tests.worker import Worker
from tests.world import World


class Project:
    """An agent and its bundles."""

    def __init__(self, world: World, worker: Worker) -> None:
        self.world, self.worker = world, worker
        self._agent = world.agent(status="draft", active_version=None, latest_version_number=0)

    @property
    def agent(self) -> Agent:
        return tables.agents_table().get(self._agent.user_id, self._agent.slug)

    @property
    def versions(self) -> list[Version]:
        return tables.versions_table().list(self._agent.agent_id, limit=20)

    @property
    def log(self) -> list[LogEntry]:
        return tables.build_logs_table().read(self.versions[0].version_id, offset=0, limit=1000)

    def put(self, files: dict[str, str] | bytes = FILES) -> str:
        content = files if isinstance(files, bytes) else tar_gz(files)
        key = f"bundles/{self._agent.user_id}/{self._agent.slug}/{new_id('bundle')}.tar.gz"
        stores.bundle_bucket().put(key, content, content_type="application/gzip")
        return key

    async def deploy(self, files: dict[str, str] | bytes = FILES, key: str | None = None) -> str:
        return await self.worker.deploys.deploy(self.request(key or self.put(files)))

    def request(self, key: str) -> DeployBundle:
        return self.world.request(self._agent, key)
