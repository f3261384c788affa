"""Which images a template may start from: those that the server's own root filesystem is an equal of."""

import re

from local.sandboxes.definition import Definition

_RELEASES = {"bookworm": "12", "trixie": "13"}
_BASES = ("e2bdev/base", "e2bdev/base:latest")


def is_equal(image: str, definition: Definition) -> bool:
    """Whether an image has what the definition has: its Debian release, its Node.js if it names one."""
    name, _, variant = image.removeprefix("docker.io/").removeprefix("library/").partition(":")
    parts = [part for part in variant.split("-") if part != "slim"]
    suites = (definition.debian_suite, _RELEASES.get(definition.debian_suite, ""))
    if name == "debian":
        return len(parts) == 1 and (parts[0] in suites or parts[0].startswith(suites[1] + "."))
    if name == "node" and parts and re.fullmatch(r"\d+(\.\d+)*", parts[0]):
        version = f"{node_version(definition)}.".startswith(f"{parts[0]}.")
        return version and parts[1:] in ([], [definition.debian_suite])
    return image in _BASES


def why_not(image: str, definition: Definition) -> str:
    """What to say of another image."""
    suite, node = definition.debian_suite, node_version(definition)
    return (
        f"image '{image}' can not be had: the local sandbox server pulls none. It has one root filesystem, "
        f"Debian {suite} with Node.js {node}: use from_base_image(), from_debian_image('{suite}'), "
        f"from_node_image('{node.partition('.')[0]}') or from_template(name)"
    )


def node_version(definition: Definition) -> str:
    """The version of the root filesystem's Node.js."""
    return next(version for name, version in definition.npm_packages.items() if name.startswith("node-"))
