"""What a machine must offer before anything is started on it, each refusal with its remedy."""

import os
import shutil
import sys

_TOOLS = {"mmdebstrap": "mmdebstrap", "mkfs.btrfs": "btrfs-progs", "nft": "nftables", "ip": "iproute2"}
"""Each command that the sandbox server needs, and the Debian package that has it."""


class HostUnfit(Exception):
    """This machine cannot run the stack; the message says what to do."""


def check(*, isolated: bool) -> None:
    """Raise `HostUnfit` unless sandboxes can be made here. Without isolation little is needed."""
    if sys.platform != "linux":
        raise HostUnfit(
            f"sandboxes need Linux, this is {sys.platform}: use a Linux machine or a virtual one, "
            "or deploy to AWS with an E2B key"
        )
    if not isolated:
        return
    if os.geteuid() != 0:
        raise HostUnfit("namespaces, cgroups and network rules need root: run `sudo make up`")
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted(package for tool, package in _TOOLS.items() if not shutil.which(tool, path=search))
    if missing:
        raise HostUnfit(f"install what is missing: `apt-get install -y {' '.join(missing)}`, or `make setup`")
