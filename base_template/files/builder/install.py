"""Installs what package.json asks for, and runs its `build` script, with the project's package manager."""

from builder import command, managers
from builder.environment import plain
from builder.failure import StepFailed
from builder.package import read_package, scripts_of
from builder.places import Places

_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "workspaces")
_SCRIPTS = frozenset({"preinstall", "install", "postinstall", "prepare"})


def install(places: Places, secret_names: list[str], seconds: float) -> str:
    """Install and return what was done, in words. Only this step sees build secrets. Raises `StepFailed`."""
    package = read_package(places.agent)
    if package is None:
        return "no package.json, nothing to install"
    if not (any(package.get(kind) for kind in _DEPENDENCIES) or _SCRIPTS & scripts_of(package).keys()):
        return "no dependencies, nothing to install"
    manager = managers.choose(places.agent, package, places.caches)
    command.must_succeed(
        [manager.command, *manager.install],
        places.agent,
        plain(places, secret_names) | manager.environment,
        seconds,
        what=f"{manager.name} install",
        shown=manager.shown,
        remedy=f"run `{manager.shown}` in the agent's folder, mend what it names, and deploy again",
    )
    return f"`{manager.shown}`"


def run_build_script(places: Places, seconds: float) -> str:
    """Run what package.json calls `build`. Raises `StepFailed`."""
    package = read_package(places.agent) or {}
    if "build" not in scripts_of(package):
        raise StepFailed(
            'castari.json says `"build": true`, and package.json has no `build` script',
            "add the script, or take `build` out of castari.json",
        )
    manager = managers.choose(places.agent, package, places.caches)
    shown = f"{manager.name} run build"
    command.must_succeed(
        [manager.command, "run", "build"],
        places.agent,
        plain(places) | manager.environment,
        seconds,
        what="the build script",
        shown=shown,
        remedy=f"run `{shown}` in the agent's folder, mend what it names, and deploy again",
    )
    return f"`{shown}`"
