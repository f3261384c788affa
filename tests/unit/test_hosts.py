"""Hosts that strangers name: only such whose every address is the internet's."""

from collections.abc import Sequence

import pytest

from castari.adapters.hosts import Resolve, public_addresses
from castari.errors import Unprocessable


def resolving(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "192.52.193.2", "172.32.0.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
)
async def test_public_addresses_are_returned(address: str) -> None:
    assert await public_addresses("git.example", 443, resolving(address, "8.8.8.8")) == (address, "8.8.8.8")


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255"),  # noqa: S104
        *("192.168.1.1", "198.18.0.1", "198.51.100.2", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1", "fe80::1%eth0", "ff02::1"),
        *("2002:a00:1::1", "2001:0:1::1"),
    ],
)
async def test_one_private_address_is_enough_to_refuse_a_host(address: str) -> None:
    with pytest.raises(Unprocessable, match=r"`git\.example` leads to a private address"):
        await public_addresses("git.example", 443, resolving("8.8.8.8", address))


async def test_a_host_that_does_not_exist_is_named() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    with pytest.raises(Unprocessable, match=r"`git\.example` cannot be found"):
        await public_addresses("git.example", 443, resolve)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "[::1]".strip("[]")])
async def test_the_systems_resolver_is_asked_how_a_connection_would_ask_it(host: str) -> None:
    with pytest.raises(Unprocessable, match="private address"):
        await public_addresses(host, 443)
