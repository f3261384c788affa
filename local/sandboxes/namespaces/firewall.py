"""The nftables rules of an instance: what sandboxes may reach, and that nothing reaches them."""

import asyncio
import ipaddress
from dataclasses import dataclass

from local.sandboxes.engine import EngineError, NetworkPolicy

# This network, private, carrier-grade NAT (sandboxes themselves), loopback, link-local (cloud
# metadata), multicast and reserved. The documentation ranges are left open: some hosts
# have their package mirrors there.
_UNREACHABLE = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.168.0.0/16", "224.0.0.0/3",
)  # fmt: skip

MAX_FLOWS = 2500
"""Connections of one sandbox at a time, as many as E2B allows: all share one table of the host's kernel."""

_RULES = """
add table inet {table}
delete table inet {table}
table inet {table} {{
    set resolvers {{ type ipv4_addr; elements = {{ {resolvers} }} }}
    set unreachable {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {unreachable} }} }}
    set allowed {{ type ifname . ipv4_addr; flags interval; }}
    set denied {{ type ifname . ipv4_addr; flags interval; }}
    set flows {{ type ifname; flags dynamic; size 65536; }}

    chain honest {{
        meta nfproto ipv6 counter drop
        fib saddr . iif oif missing counter drop comment "forged source address"
        ct state new add @flows {{ iifname ct count over {flows} }} counter drop
    }}
    chain own_policy {{
        iifname . ip daddr @allowed return
        iifname . ip daddr @denied counter reject with icmp type admin-prohibited
    }}
    chain from_sandbox_to_world {{
        jump honest
        jump own_policy
        ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
        ip daddr @unreachable counter reject with icmp type admin-prohibited
        accept
    }}
    chain from_sandbox_to_host {{
        jump honest
        jump own_policy
        ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
        {relay}
        counter reject with icmp type admin-prohibited
    }}
    chain input {{
        type filter hook input priority filter - 5
        iifname "{veth}*" jump from_sandbox_to_host
    }}
    chain forward {{
        type filter hook forward priority filter - 5
        iifname "{veth}*" jump from_sandbox_to_world
        oifname "{veth}*" ct state established,related accept
        oifname "{veth}*" counter drop
    }}
    chain output {{
        type filter hook output priority filter - 5
        oifname "{veth}*" ct state new counter drop
    }}
    chain translate {{
        type nat hook postrouting priority srcnat
        ip saddr {subnet} oifname != "{veth}*" masquerade
    }}
}}
"""


@dataclass(frozen=True)
class Firewall:
    """The table of one instance. `relay` is the one address and TCP port of the host that is open."""

    table: str
    veth: str
    subnet: ipaddress.IPv4Network
    resolvers: tuple[str, ...]
    relay: tuple[str, int] | None

    async def load(self) -> None:
        """Put the rules in force, in place of any that were."""
        relay = "ip daddr {} tcp dport {} accept".format(*self.relay) if self.relay else ""
        rules = _RULES.format(
            table=self.table, veth=self.veth, subnet=self.subnet, relay=relay, flows=MAX_FLOWS,
            resolvers=", ".join(self.resolvers), unreachable=", ".join(_UNREACHABLE),
        )  # fmt: skip
        await run_nft(rules)

    async def restrict(self, veth: str, policy: NetworkPolicy) -> None:
        """Hold a sandbox to `policy`. Raises `EngineError` for a rule that is no IPv4 network."""
        await run_nft(self.elements(veth, policy))

    async def forget(self, veth: str, policy: NetworkPolicy) -> None:
        """Drop what `restrict` did for a sandbox."""
        await run_nft(self.elements(veth, policy).replace("add element", "delete element"))

    def elements(self, veth: str, policy: NetworkPolicy) -> str:
        """Return the commands that put `policy` in force for the sandbox behind `veth`."""
        denied = policy.deny_out if policy.allow_internet else ("0.0.0.0/0",)
        return self._add("allowed", veth, policy.allow_out) + self._add("denied", veth, denied)

    def _add(self, name: str, veth: str, networks: tuple[str, ...]) -> str:
        merged = ipaddress.collapse_addresses(map(_network, networks))
        elements = ", ".join(f'"{veth}" . {network}' for network in merged)
        return f"add element inet {self.table} {name} {{ {elements} }}\n" if elements else ""


async def remove_table(table: str) -> None:
    """Take the rules away. Safe to call again."""
    await run_nft(f"add table inet {table}\ndelete table inet {table}\n")


async def run_nft(rules: str) -> None:
    """Apply a whole file of rules or none of it. Raises `EngineError`."""
    process = await asyncio.create_subprocess_exec(
        "nft", "-f", "-",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(rules.encode())
    if process.returncode:
        raise EngineError(f"nftables refused our rules: {output.decode(errors='replace')[:1000]}")


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError as error:
        raise EngineError(f"egress rule {text!r}: use an IPv4 address or CIDR block") from error
