"""The local AWS's worker processes, each of which carries out one function's calls."""

import psutil


def kill_workers(function: str) -> int:
    """Kill every worker of a function with SIGKILL; return how many there were."""
    workers = [each for each in psutil.process_iter(["cmdline"]) if _is_worker(each, function)]
    for worker in workers:
        worker.kill()
    return len(workers)


def _is_worker(process: psutil.Process, function: str) -> bool:
    words = " ".join(process.info["cmdline"] or ())
    return "ministack-lambda-" in words and function in words
