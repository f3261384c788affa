"""Where results may be sent: no spelling of an address that is not the internet's is let through."""

import ipaddress
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castari.addresses import is_global, is_loopback
from castari.callback_urls import LONGEST_CHARACTERS, parse

V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
SPECIAL_V4 = st.sampled_from(
    [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    ]
).flatmap(lambda text: _within(ipaddress.IPv4Network(text)))
SPECIAL_V6 = st.sampled_from(
    ["::/64", "fc00::/7", "fe80::/10", "ff00::/8", "2001::/32", "2001:db8::/32", "2002::/16", "64:ff9b::/96"]
).flatmap(lambda text: _within(ipaddress.IPv6Network(text)))
CARRIERS = ("::ffff:", "::", "64:ff9b::", "2002:{}::", "2001:0:{}::")


def _within(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> st.SearchStrategy[object]:
    return st.integers(0, network.num_addresses - 1).map(lambda number: network[number])


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """Return how an IPv4 address may be written so that some resolver takes it for one."""
    number, parts = int(address), str(address).split(".")
    in_octal = ".".join(f"0{int(part):o}" for part in parts)
    in_hex = ".".join(hex(int(part)) for part in parts)
    short = [f"{parts[0]}.{number & 0xFFFFFF}", f"{parts[0]}.{parts[1]}.{number & 0xFFFF}"]
    half = f"{number >> 16:x}:{number & 0xFFFF:x}"
    carried = [f"[{each.format(half)}{'' if '{}' in each else address}]" for each in CARRIERS]
    return [
        *(str(address), str(number), f"0{number:o}", hex(number), hex(number).upper(), in_octal, in_hex),
        *short,
        *carried,
        *(f"{address}.", f"{number}."),
    ]


def refused(url: str) -> bool:
    try:
        parse(url)
    except ValueError:
        return True
    return False


@settings(deadline=None)
@given(SPECIAL_V4)
def test_no_spelling_of_a_special_ipv4_address_is_let_through(address: ipaddress.IPv4Address) -> None:
    assert not is_global(str(address))
    assert [each for each in spellings(address) if not refused(f"https://{each}/hook")] == []


@settings(deadline=None)
@given(SPECIAL_V6)
def test_no_special_ipv6_address_is_let_through(address: ipaddress.IPv6Address) -> None:
    for text in (str(address), address.exploded, f"{address}%eth0"):
        assert not is_global(text)
        assert refused(f"https://[{text}]/hook")


@settings(deadline=None)
@given(V4 | V6)
def test_what_python_calls_local_is_never_global_to_us(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    local = not address.is_global or address.is_multicast or address.is_reserved or address.is_loopback
    assert not (local and is_global(str(address)))


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789abcdefx.:%[]@/\\#?-_ "), max_size=24))
def test_a_host_that_is_let_through_is_a_name_or_a_public_address_to_every_parser(host: str) -> None:
    try:
        target = parse(f"https://{host}/hook")
    except ValueError:
        return
    assert urlsplit(f"https://{host}/hook").hostname == target.host
    try:
        numeric = socket.getaddrinfo(target.host, 443, flags=socket.AI_NUMERICHOST)
    except OSError:
        assert "." in target.host
    else:
        assert all(is_global(str(found[4][0])) for found in numeric)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://receiver.example/", "must begin with https://"),
        ("ftp://receiver.example/", "must begin with https://"),
        ("receiver.example/hook", "must begin with https://"),
        ("https:///hook", "names no host"),
        ("https://user@receiver.example/", "no user or password"),
        ("https://user:password@receiver.example/", "no user or password"),
        ("https://receiver.example/#part", "no fragment"),
        ("https://receiver.example\\@127.0.0.1/", "no backslash"),
        ("https://receiver.example/ä", "visible ASCII"),
        ("https://receiver.example/a b", "visible ASCII"),
        ("https://receiver.example/\nHost: x", "visible ASCII"),
        ("https://receiver.example:0/", "a port from 1 to 65535"),
        ("https://receiver.example:/", "a port from 1 to 65535"),
        ("https://receiver.example:99999/", "is no URL"),
        ("https://receiver.example:x/", "is no URL"),
        ("https://[::1/", "is no URL"),
        ("https://[::1]/", "no public address"),
        ("https://127.1/", "no public address"),
        ("https://0x7f000001/", "no public address"),
        ("https://localhost/", "no public name"),
        ("https://api.localhost/", "no public name"),
        ("https://metadata/", "no public name"),
        ("https://metadata.google.internal/", "no public name"),
        ("https://receiver..example/", "names no host"),
        ("https://receiver.example./", "names no host"),
        ("https://-receiver.example/", "names no host"),
        (f"https://{'a' * 64}.example/", "names no host"),
        (f"https://receiver.example/{'a' * LONGEST_CHARACTERS}", "shorten it"),
        ("http://127.0.0.2:8080/", "must begin with https://"),
    ],
)
def test_what_is_refused_says_why_and_what_to_do(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://Receiver.example", "receiver.example", 443, "/", "receiver.example"),
        ("HTTPS://receiver.example/a?b=c&d=", "receiver.example", 443, "/a?b=c&d=", "receiver.example"),
        ("https://receiver.example:8443/a", "receiver.example", 8443, "/a", "receiver.example:8443"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://[2606:4700::1111]:444/", "2606:4700::1111", 444, "/", "[2606:4700::1111]:444"),
        ("http://localhost:8783/a", "localhost", 8783, "/a", "localhost:8783"),
        ("http://[::1]:8783/a", "::1", 8783, "/a", "[::1]:8783"),
    ],
)
def test_what_is_let_through_is_taken_apart(
    url: str, host: str, port: int, path: str, authority: str
) -> None:
    target = parse(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)
    assert target.is_plain == url.startswith("http:")


def test_loopback_is_told_from_what_is_no_address() -> None:
    assert [is_loopback(text) for text in ("127.0.0.1", "127.9.9.9", "::1")] == [True] * 3
    assert [is_loopback(text) for text in ("8.8.8.8", "localhost")] == [False] * 2
