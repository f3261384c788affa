"""Compiles the Python files that every sandbox gets, with the interpreter that will run them there.

Nobody in a sandbox may write beside them, so without this each start would compile them again.
"""

import base64
import json
import subprocess
from pathlib import Path

from local.sandboxes.engine import EngineError

# A compiled file that is never checked against its source (PEP 552): both are fixed in their layer.
_COMPILE = """
import base64, importlib.util as util, json, marshal, sys
compiled = {}
for path, text in json.load(sys.stdin).items():
    code = marshal.dumps(compile(text, path, "exec", dont_inherit=True))
    content = util.MAGIC_NUMBER + (1).to_bytes(4, "little") + util.source_hash(text.encode()) + code
    compiled[util.cache_from_source(path)] = base64.b64encode(content).decode()
json.dump(compiled, sys.stdout)
"""


def compile_sources(system: Path, sources: dict[str, str]) -> dict[str, bytes]:
    """Return the compiled files of `sources` (path in the sandbox: text), by their path in the sandbox.

    `system` is a root filesystem with Python. Raises `EngineError` when a file does not compile.
    """
    command = ["chroot", str(system), "/usr/bin/python3", "-I", "-S", "-c", _COMPILE]
    ended = subprocess.run(command, input=json.dumps(sources), capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise EngineError(f"building the root filesystem: compiling failed:\n{ended.stderr[-2000:]}")
    return {path: base64.b64decode(content) for path, content in json.loads(ended.stdout).items()}
