"""What a machine must offer before anything is started on it, each refusal with its remedy."""

from local.sandboxes.namespaces.preflight import Host, find_problems, find_system_problems


class HostUnfit(Exception):
    """This machine cannot run the stack; the message says what to do."""


def check(*, isolated: bool, host: Host | None = None) -> None:
    """Raise `HostUnfit` unless sandboxes can be made here. Without isolation little is needed."""
    if problems := find_problems(host) if isolated else find_system_problems(host):
        raise HostUnfit("\n".join(problems))
