"""What envd knows of the sandbox that it serves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from local.sandboxes.envd.accounts import Account, Accounts
from local.sandboxes.envd.spawn import Spawner

DEFAULT_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass
class Guest:
    """The sandbox's users, what confines each command before its exec, and the environment all get.

    `defaults` come with the root filesystem, `envs` with the sandbox.
    """

    accounts: Accounts
    confine: Callable[[], None]
    defaults: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ENVIRONMENT)
    envs: dict[str, str] = field(default_factory=dict)
    _spawners: dict[Account, Spawner] = field(default_factory=dict)

    def environment(self, account: Account, envs: dict[str, str]) -> dict[str, str]:
        """A command's whole environment; what is nearer to the command wins."""
        names = {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
        return {**self.defaults, **names, **self.envs, **envs}

    def spawner(self, account: Account) -> Spawner:
        """What starts commands as `account`; made at its first use."""
        if account not in self._spawners:
            self._spawners[account] = Spawner(account, self.confine)
        return self._spawners[account]
