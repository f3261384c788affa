"""What a client wants a sandbox to reach, checked and turned into the engine's policy."""

import ipaddress
from collections.abc import Iterable

from local.sandboxes.egress.rules import EVERYWHERE, is_name, parse_network
from local.sandboxes.engine import NetworkPolicy
from local.sandboxes.server.errors import ApiError, not_supported
from local.sandboxes.server.schemas import Egress

MAX_DNS_SERVERS = 10


def policy_of(wish: Egress, *, allow_internet: bool) -> NetworkPolicy:
    """Return the policy. Raises `ApiError` that names the wrong field, or what this server leaves out.

    Name servers of the client's own are reachable next to names only, as on E2B; without them, the names
    are answered by this server, whichever name server a sandbox asks.
    """
    _check_supported(wish)
    names = [rule for rule in wish.allow_out if is_name(rule)]
    _check_networks("allowOut", (rule for rule in wish.allow_out if not is_name(rule)))
    _check_networks("denyOut", wish.deny_out)
    denies_all = not allow_internet or EVERYWHERE in map(parse_network, wish.deny_out)
    if names and not denies_all:
        raise ApiError(400, f"allowOut: '{names[0]}' allows nothing more while denyOut lacks {EVERYWHERE}")
    servers = _check_servers(wish.dns_servers or ()) if names else ()
    return NetworkPolicy(allow_internet, (*wish.allow_out, *servers), wish.deny_out)


def _check_supported(wish: Egress) -> None:
    for name, value in (
        ("egress proxies", wish.egress_proxy),
        ("header rules for egress", wish.rules),
    ):
        if value:
            raise not_supported(name)


def _check_networks(field: str, rules: Iterable[str]) -> None:
    for rule in rules:
        try:
            parse_network(rule)
        except ValueError as error:
            more = ", or a name such as example.com or *.example.com" if field == "allowOut" else ""
            raise ApiError(400, f"{field}: {error}{more}") from None


def _check_servers(servers: tuple[str, ...]) -> tuple[str, ...]:
    if len(servers) > MAX_DNS_SERVERS:
        raise ApiError(400, f"dnsServers: {MAX_DNS_SERVERS} at most")
    for each in servers:
        try:
            ipaddress.IPv4Address(each)
        except ValueError:
            raise ApiError(400, f"dnsServers: {each!r} is no IPv4 address") from None
    return servers
