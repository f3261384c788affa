"""Where a sandbox may connect to, as its makers ask for it and see it; tests/e2e/egress holds it to that."""

from typing import Any

import pytest
from e2b import ALL_TRAFFIC, SandboxException
from e2b.exceptions import SandboxNotFoundException

from tests.conformance.conftest import Sdk

OUT = {"allow_out": ["1.1.1.1", "8.8.8.0/24", "example.com", "*.example.com"], "deny_out": [ALL_TRAFFIC]}


async def _made_with(sdk: Sdk, **options: Any) -> Any:
    sandbox = await sdk.create(**options)
    try:
        return await sdk(sandbox.get_info)
    finally:
        await sdk(sandbox.kill)


async def test_a_new_sandbox_tells_what_it_may_reach(sdk: Sdk) -> None:
    info = await _made_with(sdk, network={**OUT, "allow_public_traffic": False})
    assert info.network["allow_out"] == OUT["allow_out"]
    assert info.network["deny_out"] == [ALL_TRAFFIC]
    assert info.network["allow_public_traffic"] is False


@pytest.mark.parametrize("wish", [None, True, False])
async def test_whether_there_is_internet_is_told_as_it_was_asked_for(sdk: Sdk, wish: bool | None) -> None:
    assert (await _made_with(sdk, allow_internet_access=wish)).allow_internet_access is wish


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"allow_out": ["example.com"]}, "allowOut: 'example.com' allows nothing more"),
        ({"allow_out": ["example.com"], "deny_out": ["10.0.0.0/8"]}, "denyOut lacks 0.0.0.0/0"),
        ({"allow_out": ["http://example.com"], "deny_out": [ALL_TRAFFIC]}, "allowOut: egress rule 'http://"),
        ({"allow_out": ["8.8.8.8:53"]}, "allowOut: egress rule '8.8.8.8:53'"),
        ({"deny_out": ["example.com"]}, "denyOut: egress rule 'example.com'"),
        ({"deny_out": ["::/0"]}, "use an IPv4 address or CIDR block"),
    ],
)
async def test_a_rule_that_can_not_be_held_is_refused(
    sdk: Sdk, sandbox: Any, network: dict[str, Any], message: str
) -> None:
    for attempt in (sdk.create(network=network), sdk(sandbox.update_network, network)):
        with pytest.raises(SandboxException) as caught:
            await attempt
        assert caught.value.status_code == 400
        assert message in str(caught.value)
    assert (await sdk(sandbox.get_info)).network.get("allow_out") == []


@pytest.mark.parametrize(
    ("network", "what"),
    [
        ({"egress_proxy": {"address": "proxy.example.com:1080"}}, "egress proxies"),
        ({"rules": {"example.com": [{"transform": {"headers": {"A": "b"}}}]}}, "header rules for egress"),
    ],
)
async def test_what_the_network_can_not_do_here_is_refused_and_not_ignored(
    sdk: Sdk, sandbox: Any, network: dict[str, Any], what: str
) -> None:
    for attempt in (sdk.create(network=network), sdk(sandbox.update_network, network)):
        with pytest.raises(SandboxException, match=f"{what}: not supported by the local sandbox server"):
            await attempt


async def test_an_update_replaces_all_that_was_said_before(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.update_network, OUT)
    assert (await sdk(sandbox.get_info)).network["allow_out"] == OUT["allow_out"]
    await sdk(sandbox.update_network, {"deny_out": [ALL_TRAFFIC]})
    info = await sdk(sandbox.get_info)
    assert (info.network["allow_out"], info.network["deny_out"]) == ([], [ALL_TRAFFIC])
    await sdk(sandbox.update_network, {"allow_internet_access": False})
    info = await sdk(sandbox.get_info)
    assert (info.network["deny_out"], info.allow_internet_access) == ([], False)
    await sdk(sandbox.update_network, {})
    assert (await sdk(sandbox.get_info)).allow_internet_access is None


async def test_name_servers_of_one_s_own_are_kept_and_checked(sdk: Sdk, sandbox: Any) -> None:
    if sdk.flavour == "js":
        pytest.skip("the JavaScript SDK has no dns_servers")
    await sdk(sandbox.update_network, {**OUT, "dns_servers": ["9.9.9.9"]})
    assert (await sdk(sandbox.get_info)).network["dns_servers"] == ["9.9.9.9"]
    for servers, message in ((["dns.example.com"], "is no IPv4 address"), (["9.9.9.9"] * 11, "10 at most")):
        with pytest.raises(SandboxException, match=f"dnsServers: .*{message}"):
            await sdk(sandbox.update_network, {**OUT, "dns_servers": servers})
    await sdk(sandbox.update_network, OUT)
    assert "dns_servers" not in (await sdk(sandbox.get_info)).network


async def test_a_fork_may_reach_what_its_source_may(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.update_network, OUT)
    (copy,) = await sdk(sandbox.fork)
    try:
        assert (await sdk(copy.get_info)).network["allow_out"] == OUT["allow_out"]
    finally:
        await sdk(copy.kill)


async def test_only_a_running_sandbox_gets_another_network(sdk: Sdk) -> None:
    sandbox = await sdk.create()
    await sdk(sandbox.pause)
    with pytest.raises(SandboxException, match="is paused") as caught:
        await sdk(sandbox.update_network, {})
    assert caught.value.status_code == 409
    await sdk(sandbox.kill)
    with pytest.raises(SandboxNotFoundException):
        await sdk(sandbox.update_network, {})
