"""What each step does in the sandbox in which a template is built."""

import posixpath

from multidict import CIMultiDict

from local.sandboxes.server.access import new_id
from local.sandboxes.server.builds.archives import Archives
from local.sandboxes.server.builds.recipe import Step, place
from local.sandboxes.server.guest_command import GuestCommand
from local.sandboxes.server.runtime import Runtime
from local.sandboxes.server.upstream import Upstream

# A folder gives what it contains, as in a Dockerfile; a pattern may match across folders.
_COPY = r"""
set -eu
shopt -s globstar dotglob nullglob
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked" "$ARCHIVE"' EXIT
tar -xf "$ARCHIVE" -C "$unpacked" --no-same-owner
cd "$unpacked"
IFS=
found=( $SOURCE )
if ! [ -e "${found[0]-}" -o -L "${found[0]-}" ]; then
  echo "nothing matches '$SOURCE'" >&2
  exit 1
fi
chown -hR -- "$OWNER:" .
[ -z "$MODE" ] || chmod -R -- "$MODE" "${found[@]}"
folder() { [ -d "$1" ] || { mkdir -p -- "$1"; chown -- "$OWNER:" "$1"; }; }
for each in "${found[@]}"; do
  if [ -d "$each" ] && [ ! -L "$each" ]; then
    folder "$TARGET"
    inside=( "$each"/* )
    [ ${#inside[@]} -eq 0 ] || cp -a -- "${inside[@]}" "$TARGET/"
  elif [ "${TARGET%/}" != "$TARGET" ] || [ -d "$TARGET" ] || [ ${#found[@]} -gt 1 ]; then
    folder "$TARGET"
    cp -a -- "$each" "$TARGET/"
  else
    folder "$(dirname -- "$TARGET")"
    cp -a -- "$each" "$TARGET"
  fi
done
"""
_WORKDIR = '[ -d "$TARGET" ] || { mkdir -p -- "$TARGET" && chown -- "$OWNER:" "$TARGET"; }'
_USER = 'id -u -- "$OWNER" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash -- "$OWNER"'


async def prepare(
    step: Step, runtime: Runtime, archives: Archives, upstream: Upstream
) -> GuestCommand | None:
    """The command that carries a step out, once its files are there; none if it only changes the runtime."""
    match step.type:
        case "RUN":
            return GuestCommand(step.args[0], step.argument(1) or runtime.user, runtime.workdir, runtime.env)
        case "WORKDIR":
            variables = {"TARGET": place(runtime, step.args[0]), "OWNER": runtime.user}
            return GuestCommand(_WORKDIR, "root", "/", variables)
        case "USER":
            return GuestCommand(_USER, "root", "/", {"OWNER": step.args[0]})
        case "COPY":
            return await _prepare_copy(step, runtime, archives, upstream)
        case "ENV":
            return None


async def _prepare_copy(step: Step, runtime: Runtime, archives: Archives, upstream: Upstream) -> GuestCommand:
    archive = f"/tmp/{new_id('copy-')}"  # noqa: S108 - in the sandbox, where nobody else is yet
    files_hash = step.files_hash or ""
    path = f"/files?path={archive}&username=root"
    headers = CIMultiDict({"Content-Type": "application/octet-stream"})
    async with upstream.request("POST", path, headers=headers, data=archives.read(files_hash)) as response:
        response.raise_for_status()
    variables = {
        "ARCHIVE": archive,
        "SOURCE": posixpath.normpath(step.args[0]),
        "TARGET": place(runtime, step.args[1]),
        "OWNER": step.argument(2) or runtime.user,
        "MODE": step.argument(3),
    }
    return GuestCommand(_COPY, "root", "/", variables)
