"""The nftables rules of an instance: what sandboxes may reach, and that nothing reaches them."""

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from local.sandboxes.egress.rules import EVERYWHERE, UNREACHABLE, is_name, parse_network
from local.sandboxes.engine import EngineError, NetworkPolicy

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
    set by_name {{ type ifname; }}
    set flows {{ type ifname; flags dynamic; size 65536; }}

    chain honest {{
        meta nfproto ipv6 counter drop
        fib saddr . iif oif missing counter drop comment "forged source address"
        ct state new add @flows {{ iifname ct count over {flows} }} counter drop
    }}
    chain own_policy {{
        iifname . ip daddr @allowed return
        iifname . ip daddr @denied ct state established meta l4proto tcp counter reject with tcp reset
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
        iifname @by_name ip daddr {gateway} ct status dnat jump diverted
        jump own_policy
        ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
        {relay}
        counter reject with icmp type admin-prohibited
    }}
    chain diverted {{
        tcp dport {{ {http}, {tls}, {names_tcp} }} accept
        udp dport {names_udp} accept
    }}
    chain from_egress_process {{
        ct state established,related accept
        ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
        ip daddr @unreachable counter reject with icmp type admin-prohibited
        fib daddr type local counter reject with icmp type admin-prohibited
        ip daddr 0.0.0.0/0 tcp dport {{ 80, 443 }} accept
        counter reject
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
        ip saddr {gateway} oifname != "lo" ct state new counter drop
        meta skuid {uid} jump from_egress_process
    }}
    chain divert {{
        type nat hook prerouting priority dstnat
        iifname . ip daddr @allowed return
        iifname @by_name udp dport 53 redirect to :{names_udp}
        iifname @by_name tcp dport 53 redirect to :{names_tcp}
        iifname @by_name tcp dport 80 redirect to :{http}
        iifname @by_name tcp dport 443 redirect to :{tls}
    }}
    chain translate {{
        type nat hook postrouting priority srcnat
        ip saddr {subnet} oifname != "{veth}*" masquerade
    }}
}}
"""


@dataclass(frozen=True)
class Firewall:
    """The table of one instance. `relay` is the one address and TCP port of the host that is open.

    `doors` are the ports, on the gateway, of the process that connects by name; it runs as user `uid`.
    """

    table: str
    veth: str
    subnet: ipaddress.IPv4Network
    resolvers: tuple[str, ...]
    relay: tuple[str, int] | None
    doors: Mapping[str, int]
    uid: int

    async def load(self) -> None:
        """Put the rules in force, in place of any that were."""
        relay = "ip daddr {} tcp dport {} accept".format(*self.relay) if self.relay else ""
        rules = _RULES.format(
            table=self.table, veth=self.veth, subnet=self.subnet, relay=relay, flows=MAX_FLOWS,
            resolvers=", ".join(self.resolvers), unreachable=", ".join(map(str, UNREACHABLE)),
            gateway=self.subnet[1], uid=self.uid, **self.doors,
        )  # fmt: skip
        await run_nft(rules)

    async def change(self, veth: str, before: NetworkPolicy, policy: NetworkPolicy) -> None:
        """Hold a sandbox to `policy` in place of `before`, at once.

        Raises `EngineError` for a rule that is no IPv4 network and no name.
        """
        gone = self.elements(veth, before).replace("add element", "delete element")
        await run_nft(gone + self.elements(veth, policy))

    def elements(self, veth: str, policy: NetworkPolicy) -> str:
        """Return the commands that put `policy` in force for the sandbox behind `veth`."""
        denied = policy.deny_out if policy.allow_internet else (str(EVERYWHERE),)
        allowed = tuple(rule for rule in policy.allow_out if not is_name(rule))
        by_name = f'add element inet {self.table} by_name {{ "{veth}" }}\n'
        return (
            self._add("allowed", veth, allowed)
            + self._add("denied", veth, denied)
            + (by_name if allowed != policy.allow_out else "")
        )

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
        return parse_network(text)
    except ValueError as error:
        raise EngineError(str(error)) from error
