"""Users: who commands and files belong to, and what root may do in a template that has it."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from e2b import AuthenticationException, CommandExitException, PtySize

from tests.conformance.conftest import ENGINE, Sdk, step

pytestmark = [
    pytest.mark.local,
    pytest.mark.root,
    pytest.mark.skipif(ENGINE != "namespaces", reason="needs root and the namespaces engine"),
]

# chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service
BOUNDING_SET = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 10))


@pytest.fixture
async def sandbox(sdk: Sdk) -> AsyncIterator[Any]:
    """A sandbox of a template with root."""
    name = f"u-{uuid.uuid4().hex}"
    built = await sdk.build(name, step("from_base_image"))
    made = await sdk.create(name)
    yield made
    await sdk(made.kill)
    await sdk(sdk.sandbox_class.delete_snapshot, built.template_id, **sdk.server.options)


async def test_nobody_is_root_unless_asked_for(sdk: Sdk, sandbox: Any) -> None:
    assert (await sdk(sandbox.commands.run, "id -un")).stdout == "user\n"


async def test_a_command_runs_as_root(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(
        sandbox.commands.run, "id -un; pwd; echo x > /etc/new; stat -c %U /etc/new", user="root"
    )
    assert result.stdout == "root\n/root\nroot\n"


async def test_a_file_is_written_and_read_as_root(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.files.write, "/root/secret", "x", user="root")
    assert await sdk(sandbox.files.read, "/root/secret", user="root") == "x"
    assert (await sdk(sandbox.files.get_info, "/root/secret", user="root")).owner == "root"


async def test_the_user_becomes_root_by_sudo(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "sudo sh -c 'id -un; echo x > /etc/new'; stat -c %U /etc/new")
    assert result.stdout == "root\nroot\n"


async def test_root_becomes_any_user(sdk: Sdk, sandbox: Any) -> None:
    result = await sdk(sandbox.commands.run, "useradd other; su other -c 'id -un'", user="root")
    assert result.stdout == "other\n"


async def test_root_installs_a_package(sdk: Sdk, sandbox: Any) -> None:
    # Packed here, so that no mirror is asked.
    pack = "mkdir -p p/DEBIAN p/opt; printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: x\n"
    pack += "Description: x\n' > p/DEBIAN/control; echo x > p/opt/p; dpkg-deb -b p >/dev/null"
    await sdk(sandbox.commands.run, f"{pack}; dpkg -i p.deb && test -e /opt/p", user="root")


async def test_root_ends_processes_of_others(sdk: Sdk, sandbox: Any) -> None:
    command = await sdk(sandbox.commands.run, "exec sleep 3600", background=True)
    await sdk(sandbox.commands.run, f"kill {command.pid}", user="root")
    with pytest.raises(CommandExitException):
        await sdk(command.wait)


async def test_a_terminal_can_be_root_s(sdk: Sdk, sandbox: Any) -> None:
    written = "id -un > /root/who; exit\n"
    options = {"on_data": lambda _: None} if sdk.calls_back else {}
    terminal = await sdk(sandbox.pty.create, PtySize(rows=24, cols=80), user="root", **options)
    await sdk(sandbox.pty.send_stdin, terminal.pid, written.encode())
    await sdk(terminal.wait)
    assert await sdk(sandbox.files.read, "/root/who", user="root") == "root\n"


@pytest.mark.parametrize("how", ["root", "sudo"])
async def test_root_has_eight_capabilities_and_no_way_to_more(sdk: Sdk, sandbox: Any, how: str) -> None:
    read = "grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status"
    if how == "sudo":
        result = await sdk(sandbox.commands.run, f"sudo {read}")
    else:
        result = await sdk(sandbox.commands.run, read, user="root")
    sets = [int(value, 16) for value in result.stdout.split()[1::2]]
    assert sets == [BOUNDING_SET, BOUNDING_SET, BOUNDING_SET, 0]


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs x /mnt",
        "unshare -m true",
        "chroot / true",
        "mknod /tmp/disk b 8 0",
        "ip link add x type dummy || python3 -c 'import socket as s; s.socket(s.AF_PACKET, s.SOCK_RAW)'",
        "echo 1 > /proc/sys/kernel/sysrq",
        "sysctl -w kernel.core_pattern=x",
        "cat /proc/1/environ",
        "cat /proc/1/mem",
        "dd if=/dev/zero of=/proc/1/mem count=1",
        "echo -900 > /proc/self/oom_score_adj",
        "nice -n -5 true 2>&1 | grep -q 'cannot set' && false",
        "date -s 2030-01-01",
        "hostname other",
        "dmesg",
    ],
)
async def test_root_of_a_sandbox_is_nobody_on_its_host(sdk: Sdk, sandbox: Any, attempt: str) -> None:
    with pytest.raises(CommandExitException):
        await sdk(sandbox.commands.run, attempt, user="root")


async def test_the_daemon_survives_root_s_signals(sdk: Sdk, sandbox: Any) -> None:
    await sdk(sandbox.commands.run, "kill -9 1; kill -STOP 1; kill -INT 1; true", user="root")
    assert (await sdk(sandbox.commands.run, "echo alive")).stdout == "alive\n"


async def test_a_template_can_have_no_root(sdk: Sdk) -> None:
    name = f"u-{uuid.uuid4().hex}"
    await sdk.build(name, step("from_base_image"), step("set_envs", {"CASTARI_PRIVILEGES": "none"}))
    sandbox = await sdk.create(name)
    with pytest.raises(AuthenticationException, match="does not allow 'root'"):
        await sdk(sandbox.commands.run, "id", user="root")
    told = "grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; sudo -n true 2>/dev/null || echo refused"
    result = await sdk(sandbox.commands.run, told)
    assert result.stdout.split() == ["CapBnd:", "0000000000000000", "NoNewPrivs:", "1", "refused"]
    await sdk(sandbox.kill)


async def test_a_template_without_root_has_none_below_others_either(sdk: Sdk) -> None:
    name = f"u-{uuid.uuid4().hex}"
    await sdk.build(name, step("from_template", "base"), step("run_cmd", "true"))
    sandbox = await sdk.create(name)
    with pytest.raises(AuthenticationException, match="does not allow 'root'"):
        await sdk(sandbox.commands.run, "id", user="root")
    await sdk(sandbox.kill)
