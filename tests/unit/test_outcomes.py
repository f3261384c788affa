"""What the words on an agent's stderr say about its end."""

import pytest

from castari.reports import RunReport
from castari.services.outcomes import of_report

NODE = """file:///home/user/agent/src/index.js:3
    throw new Error("nobody caught this");
    ^

Error: nobody caught this
    at deed (file:///home/user/agent/src/index.js:3:11)
    at ModuleJob.run (node:internal/modules/esm/module_job:325:25)

Node.js v20.20.2
"""
PYTHON = """Traceback (most recent call last):
  File "agent.py", line 1, in <module>
ValueError: no such thing
"""


def ended(stderr: str, exit_code: int = 1) -> RunReport:
    return RunReport(invocation_id="inv_1", attempt=1, exit_code=exit_code, stderr=stderr)


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (NODE, ": Error: nobody caught this"),
        (PYTHON, ": ValueError: no such thing"),
        ("one\ntwo\n\n", ": two"),
        ("at once\n", ": at once"),
        ("", " and said nothing on stderr"),
    ],
)
def test_the_line_that_says_why_is_in_the_message(stderr: str, reason: str) -> None:
    failure = of_report(ended(stderr, 3), 120).failure
    assert failure is not None
    assert failure.message == f"the agent ended with exit code 3{reason}"


@pytest.mark.parametrize(
    "stderr",
    [
        "Error: ENOSPC: no space left on device, write",
        "cp: error writing 'x': Disk quota exceeded",
        # What Node prints for EDQUOT, which it has no name for.
        "Error: UNKNOWN: unknown error, write\n    at writeSync (node:fs:933:3) {\n  errno: -122,\n}",
    ],
)
def test_a_full_disk_is_told_from_other_failures(stderr: str) -> None:
    failure = of_report(ended(stderr), 120).failure
    assert failure is not None
    assert failure.code == "disk_full"


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        ("Error: connect ENETUNREACH 2001:db8::1:443 - Local (:::0)", "network_unreachable"),
        ("Error: connect EADDRNOTAVAIL 2001:db8::1:443 - Local (:::0)", "network_unreachable"),
        ("Error: listen EADDRNOTAVAIL: address not available 192.0.2.1:80", "nonzero_exit"),
        ("Error: getaddrinfo EAI_AGAIN api.example.com", "network_unreachable"),
        ("OSError: [Errno 101] Network is unreachable", "network_unreachable"),
        ("Error: getaddrinfo ENOTFOUND api.exmaple.com", "nonzero_exit"),
        ("Error: connect ECONNREFUSED 127.0.0.1:5432", "nonzero_exit"),
    ],
)
def test_a_network_out_of_reach_is_told_from_a_wrong_host(stderr: str, code: str) -> None:
    failure = of_report(ended(stderr), 120).failure
    assert failure is not None
    assert failure.code == code
    assert failure.message.endswith(f"ended with exit code 1: {stderr}")
