"""The templates that sandboxes can be made from."""

from dataclasses import dataclass, field

from local.sandboxes.definition import Definition
from local.sandboxes.engine import BASE_LAYER, Limits, Privileges
from local.sandboxes.server.runtime import Runtime

DEFAULT_ALIAS = "base"
"""What the SDKs ask for when they are not told a template."""

DEFAULT_TAG = "default"


@dataclass(frozen=True)
class Template:
    """What a sandbox starts from."""

    template_id: str
    aliases: tuple[str, ...] = ()
    layers: tuple[str, ...] = (BASE_LAYER,)
    limits: Limits = field(default_factory=Limits)
    privileges: Privileges = "none"
    runtime: Runtime = field(default_factory=Runtime)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that a client may call it."""
        return (self.template_id, *self.aliases)


def base_template(definition: Definition) -> Template:
    """The template that the definition describes. Agents get no privileges in it."""
    limits = Limits(
        memory_mb=definition.memory_mb, cpu_count=definition.cpu_count, disk_mb=definition.disk_mb
    )
    return Template(definition.name, (DEFAULT_ALIAS,), limits=limits)


def without_default_tag(name: str) -> str:
    """`x:default` and `x` are the same template."""
    return name.removesuffix(f":{DEFAULT_TAG}")
