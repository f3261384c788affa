"""Names, addresses and rules of the sandboxes' network, as far as they need no kernel."""

import ipaddress

import pytest

from local.sandboxes.engine import EngineError, NetworkPolicy
from local.sandboxes.namespaces.firewall import Firewall
from local.sandboxes.namespaces.network import MAX_INDEX, Network, relay_address
from local.sandboxes.namespaces.settings import Names

SUBNET = ipaddress.IPv4Network("100.64.16.0/20")
DOORS = {"http": 1, "tls": 2, "names_udp": 3, "names_tcp": 4}
FIREWALL = Firewall(
    "castari_x", "cx-", SUBNET, ("10.255.255.53",), (relay_address(SUBNET), 4570), DOORS, 2_000_065_536
)
NETWORK = Network(SUBNET, ("10.255.255.53", "192.0.2.1"), 1400)


def test_every_sandbox_the_gateway_and_the_relay_have_addresses_of_their_own() -> None:
    sandboxes = {NETWORK.address(index) for index in range(1, MAX_INDEX + 1)}
    assert len({*sandboxes, NETWORK.gateway, relay_address(SUBNET)}) == MAX_INDEX + 2
    assert all(ipaddress.IPv4Address(each) in SUBNET for each in sandboxes)


def test_a_sandbox_asks_the_host_s_name_servers() -> None:
    assert NETWORK.resolv_conf == "nameserver 10.255.255.53\nnameserver 192.0.2.1\n"


@pytest.mark.parametrize("name", ["", "ABC", "with-dash", "ninechars", "a b", "../x"])
def test_an_instance_name_that_could_clash_or_not_fit_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="1 to 8 lower-case letters and digits"):
        Names(name)


def test_an_interface_name_fits_into_what_linux_allows() -> None:
    assert len(f"{Names('a' * 8).veth}{MAX_INDEX}") <= 15


def test_overlapping_networks_of_a_policy_become_one_rule() -> None:
    policy = NetworkPolicy(deny_out=("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7"))
    assert FIREWALL.elements("cx-3", policy) == (
        'add element inet castari_x denied { "cx-3" . 10.0.0.0/8, "cx-3" . 192.0.2.7/32 }\n'
    )


def test_no_internet_denies_everything() -> None:
    policy = NetworkPolicy(allow_internet=False, allow_out=("192.0.2.0/24",))
    assert FIREWALL.elements("cx-3", policy) == (
        'add element inet castari_x allowed { "cx-3" . 192.0.2.0/24 }\n'
        'add element inet castari_x denied { "cx-3" . 0.0.0.0/0 }\n'
    )


def test_names_are_left_to_the_process_that_connects_by_name() -> None:
    policy = NetworkPolicy(allow_out=("192.0.2.0/24", "*.example.com"), deny_out=("0.0.0.0/0",))
    assert FIREWALL.elements("cx-3", policy) == (
        'add element inet castari_x allowed { "cx-3" . 192.0.2.0/24 }\n'
        'add element inet castari_x denied { "cx-3" . 0.0.0.0/0 }\n'
        'add element inet castari_x by_name { "cx-3" }\n'
    )


@pytest.mark.parametrize(
    "rule", ["a.com:80", "localhost", "*", "10.0.0.0/33", "::/0", '1.2.3.4" }; flush ruleset']
)
def test_a_rule_that_is_no_ipv4_network_is_refused(rule: str) -> None:
    with pytest.raises(EngineError, match="use an IPv4 address or CIDR block"):
        FIREWALL.elements("cx-3", NetworkPolicy(allow_out=(rule,)))
