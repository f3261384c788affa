"""What a cold Lambda pays before its handler runs: importing boto3, and each function's module."""

import subprocess
import sys
from pathlib import Path

from bench import built
from bench.report import Report

FUNCTIONS = ("api", "invoke")
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
}


def measure(report: Report) -> None:
    """Time each import in fresh interpreters over the built layers, which hold compiled modules."""
    layers = built.layers()
    subjects = {"import_boto3_ms": ("boto3", layers)}
    for name in FUNCTIONS:
        subjects[f"import_{name}_ms"] = ("app", [built.function(name), *layers])
    for module, paths in subjects.values():
        import_milliseconds(module, paths)
    for _ in range(ROUNDS):
        for figure, (module, paths) in subjects.items():
            report.samples[figure].append(import_milliseconds(module, paths))


def import_milliseconds(module: str, paths: list[Path]) -> float:
    """Import in a fresh isolated interpreter that knows these paths and the standard library only."""
    command = [sys.executable, "-I", "-S", "-c", _TIMED_IMPORT, module, *map(str, paths)]
    done = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} cannot be imported from {paths[0]}:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])
