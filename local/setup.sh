#!/bin/sh
# Installs what `make` needs: packages of this machine, then the virtual environment from the lock file, by hash.
set -eu

refuse() {
    echo "setup: $1" >&2
    exit 1
}

[ "$(uname -s)" = Linux ] || refuse "sandboxes need Linux, this is $(uname -s): use a virtual machine, or AWS and an E2B key."

python=${PYTHON:-python3}
command -v "$python" >/dev/null || refuse "there is no $python: install Python 3.11 or newer, or name one with PYTHON=…"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "$("$python" --version) is too old: install Python 3.11 or newer and name it with PYTHON=…, such as PYTHON=python3.11"

# What sandboxes are made with; the list is checked against the sandbox server's own by a test.
packages="btrfs-progs debian-archive-keyring iproute2 libseccomp2 mmdebstrap nftables"
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"
missing=
for package in $packages; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || refuse "install with this system's package manager:$missing"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || refuse "run it as root once, or install:$missing"
        as_root=sudo
    fi
    echo "setup: installing$missing"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

stamp=.venv/castari-stamp
wanted=$("$python" --version; cat requirements.lock pyproject.toml | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "setup: installing Python packages"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    if [ ! -x .venv/bin/uv ]; then
        bootstrap=$(mktemp)
        trap 'rm -f "$bootstrap"' EXIT
        sed -n '/^uv==/,/^    # via/p' requirements.lock >"$bootstrap"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$bootstrap"
    fi
    .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
    echo "$wanted" >"$stamp"
fi
