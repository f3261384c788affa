"""A filter that plays a kernel which says yes to everything: calls succeed without being carried out.

For attacks on what belongs to the whole machine, such as loading a module or setting the clock,
no sandbox is both weak and harmless. So the control shows that the attempt sees a yes as a success.
"""

import ctypes
import struct
from typing import NamedTuple

from tests.attack.probe import kernel

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ANSWER_ZERO = 0x7FFF0000, 0x00050000
_ARGUMENTS = 16


class Rule(NamedTuple):
    """A call to answer with 0, always or when the low half of one argument is, or is not, a value."""

    name: str
    argument: int = -1
    value: int = 0
    equal: bool = True


RULES = (
    *map(
        Rule,
        ("acct", "adjtimex", "bpf", "delete_module", "finit_module", "init_module", "ioperm", "kexec_load"),
    ),
    *map(
        Rule,
        ("mknodat", "open_by_handle_at", "quotactl", "rt_sigqueueinfo", "sched_setscheduler", "setpriority"),
    ),
    *map(Rule, ("setxattr", "swapoff", "swapon", "syslog")),
    *(Rule("ioctl", argument=1, value=value) for value in (0x5412, 0x541C, 0x40086602, 0x8400941F)),
    # Only setting a limit: every program asks for its own when it starts.
    Rule("prlimit64", argument=2, value=0, equal=False),
)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _compile(rule: Rule) -> bytes:
    answer = _instruction(_RETURN, _ANSWER_ZERO)
    if rule.argument < 0:
        test = b""
    else:
        load = _instruction(_LOAD, _ARGUMENTS + 8 * rule.argument)
        skips = (0, 1) if rule.equal else (1, 0)
        test = load + _instruction(_JUMP_IF_EQUAL, rule.value, *skips)
    body = test + answer
    number = kernel.number(rule.name) & 0xFFFFFFFF
    return _instruction(_LOAD, 0) + _instruction(_JUMP_IF_EQUAL, number, 0, len(body) // 8) + body


def install() -> None:
    """Put the filter on this process and all it will start. Needs CAP_SYS_ADMIN in its namespace."""
    code = b"".join(map(_compile, RULES)) + _instruction(_RETURN, _ALLOW)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(code) // 8, kernel.address(instructions))
    )
    kernel.call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, kernel.address(program), 0, 0)
