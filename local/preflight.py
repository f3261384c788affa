"""What a machine must offer before anything is started on it, each refusal with its remedy."""

import sys

from local.sandboxes.namespaces.preflight import preflight


class HostUnfit(Exception):
    """This machine cannot run the stack; the message says what to do."""


def check(*, isolated: bool) -> None:
    """Raise `HostUnfit` unless sandboxes can be made here. Without isolation little is needed."""
    if sys.platform != "linux":
        raise HostUnfit(
            f"The local stack needs Linux, this is {sys.platform}: use a virtual machine, or AWS and E2B."
        )
    if isolated and (problems := preflight()):
        raise HostUnfit("\n".join(problems))
