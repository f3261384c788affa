"""Holds each sandbox to its network policy: what the firewall decides, and what goes by name."""

import asyncio
from collections import defaultdict

from local.sandboxes.egress.rules import is_name
from local.sandboxes.engine import NetworkPolicy, OnRefused
from local.sandboxes.namespaces.egress_process import EgressProcess
from local.sandboxes.namespaces.firewall import Firewall
from local.sandboxes.namespaces.plans import Plan

OPEN = NetworkPolicy()


class Egress:
    """The policies in force, by network link. A link without an entry has the open one."""

    def __init__(self, firewall: Firewall, process: EgressProcess) -> None:
        self._firewall, self._process = firewall, process
        process.on_refused = self._pass_on
        self._listeners: dict[str, OnRefused] = {}
        self._in_force: dict[str, NetworkPolicy] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def hold(self, plan: Plan, policy: NetworkPolicy) -> None:
        """Put a policy in force in place of the one before; no packet meets a state between them.

        Raises `EngineError` for a rule that is neither a network nor a name; then nothing changes.
        """
        async with self._turns[plan.veth]:
            before = self._in_force.get(plan.veth, OPEN)
            if policy == before:
                return
            names, names_before = names_of(policy), names_of(before)
            if names or names_before:
                await self._process.set_names(plan.address, names)
            try:
                await self._firewall.change(plan.veth, before, policy)
            except BaseException:
                if names or names_before:
                    await self._process.set_names(plan.address, names_before)
                raise
            self._in_force[plan.veth] = policy

    def is_open(self, plan: Plan) -> bool:
        """Whether a sandbox may reach all that any may."""
        return self._in_force.get(plan.veth, OPEN) == OPEN

    def listen(self, plan: Plan, on_refused: OnRefused) -> None:
        """Tell from now on which hosts a sandbox was kept from by their name."""
        self._listeners[plan.address] = on_refused

    async def forget(self, plan: Plan) -> None:
        """Drop what was kept for a sandbox that ended."""
        await self.hold(plan, OPEN)
        self._listeners.pop(plan.address, None)
        self._in_force.pop(plan.veth, None)
        self._turns.pop(plan.veth, None)

    async def close(self) -> None:
        """End the process that connects by name."""
        await self._process.close()

    def _pass_on(self, address: str, host: str, port: int) -> None:
        if listener := self._listeners.get(address):
            listener(host, port)


def names_of(policy: NetworkPolicy) -> tuple[str, ...]:
    """Return the rules of a policy that name hosts."""
    return tuple(rule for rule in policy.allow_out if is_name(rule))
