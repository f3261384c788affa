"""The agents' system call filters, run as the kernel runs them: by an interpreter of classic BPF."""

import errno
import platform
import struct

import pyseccomp  # type: ignore[import-untyped]
import pytest

from local.sandboxes.namespaces.seccomp import agent_filters

ALLOW, ERRNO, KILL = 0x7FFF_0000, 0x0005_0000, {0, 0x8000_0000}
ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
NATIVE = ARCHITECTURES[platform.machine()]
I386 = 0x4000_0003
INSTRUCTION = struct.Struct("HBBI")


def run(program: bytes, number: int, arguments: tuple[int, ...], architecture: int) -> int:
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    instructions = list(INSTRUCTION.iter_unpack(program))
    position = accumulator = 0
    while True:
        code, if_true, if_false, constant = instructions[position]
        position += 1
        match code:
            case 0x20:  # Load a word of the data.
                (accumulator,) = struct.unpack_from("=I", data, constant)
            case 0x54:  # And.
                accumulator &= constant
            case 0x05:  # Jump always.
                position += constant
            case 0x15 | 0x25 | 0x35 | 0x45:  # Jump if equal, greater, at least, or any bit is set.
                tests = {
                    0x15: accumulator == constant,
                    0x25: accumulator > constant,
                    0x35: accumulator >= constant,
                    0x45: bool(accumulator & constant),
                }
                position += if_true if tests[code] else if_false
            case 0x06:  # Return.
                return int(constant)
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def answer(call: str | int, *arguments: int, architecture: int = NATIVE) -> str:
    """What the kernel makes of all filters together: it takes the strictest."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call) if isinstance(call, str) else call
    verdicts = [run(program, number, arguments, architecture) for program in agent_filters()]
    if any(verdict in KILL for verdict in verdicts):
        return "killed"
    refusals = [verdict & 0xFFFF for verdict in verdicts if verdict & 0xFFFF_0000 == ERRNO]
    assert refusals or set(verdicts) == {ALLOW}
    return errno.errorcode[refusals[-1]] if refusals else "allowed"


@pytest.mark.parametrize("call", ["read", "execve", "futex", "epoll_wait", "statx", "connect", "setsid"])
def test_ordinary_calls_are_allowed(call: str) -> None:
    assert answer(call) == "allowed"


@pytest.mark.parametrize(
    "call",
    ["mount", "umount2", "pivot_root", "unshare", "setns", "ptrace", "bpf", "userfaultfd", "keyctl",
     "io_uring_setup", "perf_event_open", "open_by_handle_at", "kexec_load", "init_module", "reboot",
     "process_vm_readv"],
)  # fmt: skip
def test_calls_against_the_kernel_and_others_are_refused(call: str) -> None:
    assert answer(call) == "EPERM"


def test_a_call_that_is_on_no_list_does_not_exist() -> None:
    assert answer(1000) == "ENOSYS"


def test_clone3_does_not_exist_as_its_flags_can_not_be_read_so_that_clone_is_used() -> None:
    assert answer("clone3") == "ENOSYS"


def test_a_clone_may_make_threads_and_processes_but_no_namespace() -> None:
    threads = 0x3D0F00
    assert answer("clone", threads) == answer("clone", 17) == "allowed"
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer("clone", flag | 17) == "EPERM"


@pytest.mark.parametrize("upper_half", [0, 0xFFFF_FFFF << 32, 1 << 32])
def test_nothing_is_typed_into_a_terminal_whatever_the_unread_half_of_a_register_says(
    upper_half: int,
) -> None:
    assert answer("ioctl", 0, upper_half | 0x5412) == "EPERM"
    assert answer("ioctl", 0, upper_half | 0x541C) == "EPERM"
    assert answer("ioctl", 0, upper_half | 0x5413) == "allowed"


def test_sockets_are_local_internet_or_of_the_routing_kind() -> None:
    for family in (1, 2, 10):
        assert answer("socket", family, 1, 0) == "allowed"
    assert answer("socket", 16, 3, 0) == "allowed"
    assert answer("socket", 16, 3, 12) == "EPROTONOSUPPORT"
    for family in (0, 3, 17, 31, 38, 40, 44):
        assert answer("socket", family, 1, 0) == "EAFNOSUPPORT"


def test_the_personality_stays_that_of_linux() -> None:
    assert answer("personality", 0xFFFF_FFFF) == answer("personality", 0) == "allowed"
    assert answer("personality", 0x0040000) == "ENOSYS"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="32 bit programs are x86's")
def test_calls_of_another_architecture_end_the_process() -> None:
    assert answer(3, architecture=I386) == "killed"
    assert answer(0x4000_0000 | 1) in {"killed", "ENOSYS"}
