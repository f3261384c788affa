"""What a cold Lambda pays before its handler runs: importing boto3, and each function's module."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.report import Report

ROOT = Path(__file__).parent.parent
ROUNDS = 15
_TIMED_IMPORT = """
import sys
from time import perf_counter
module, *paths = sys.argv[1:]
sys.path[:0] = paths
begin = perf_counter()
__import__(module)
print((perf_counter() - begin) * 1000)
"""
_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "bench",
    "POWERTOOLS_TRACE_DISABLED": "1",
}


def measure(report: Report) -> None:
    """Time each import in fresh interpreters that find compiled modules, the sides interleaved."""
    subjects = {"import_boto3_ms": ("boto3", _paths())}
    for name in ("api", "invoke"):
        folder = ROOT / "functions" / name
        if (folder / "app.py").exists():
            subjects[f"import_{name}_ms"] = ("app", [str(folder), *_paths()])
        else:
            report.leave_out(f"import_{name}_ms", f"functions/{name}/app.py does not exist")
    with TemporaryDirectory() as compiled:
        for module, paths in subjects.values():
            import_milliseconds(module, paths, compiled)
        for _ in range(ROUNDS):
            for name, (module, paths) in subjects.items():
                report.samples[name].append(import_milliseconds(module, paths, compiled))


def import_milliseconds(module: str, paths: list[str], compiled: str) -> float:
    """Import in a fresh isolated interpreter; compiled modules are kept in and read from `compiled`."""
    # -S leaves out the venv's .pth files: a Lambda has none, and an editable install slows every import.
    command = [sys.executable, "-I", "-S", "-X", f"pycache_prefix={compiled}", "-c", _TIMED_IMPORT]
    done = subprocess.run(
        [*command, module, *paths], env=_ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def _paths() -> list[str]:
    return [str(ROOT / "layers" / "application"), sysconfig.get_path("purelib")]
