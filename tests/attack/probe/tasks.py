"""Attempts to use up what every process on the machine needs: process ids, threads, signals."""

import ctypes
import os
import signal
import threading

from . import kernel
from .attempts import attempt
from .targets import Target
from .wire import hold

_PR_SET_PDEATHSIG = 1


@attempt("EAGAIN", weakness="root")
def start_processes_without_end(target: Target) -> str:
    """Start more processes than the sandbox may have."""
    children: list[int] = []
    try:
        while len(children) <= target.limits.pids:
            children.append(_start_idle())
        return f"started {len(children)} processes"
    except OSError:
        hold(f"{len(children)} processes")
        raise
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _start_idle() -> int:
    pid = os.fork()
    if pid == 0:
        kernel.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pause()
        os._exit(0)
    return pid


@attempt("EAGAIN", weakness="root")
def start_threads_without_end(target: Target) -> str:
    """Start more threads than the sandbox may have processes."""
    threading.stack_size(64 * 1024)
    end = threading.Event()
    threads: list[threading.Thread] = []
    try:
        while len(threads) <= target.limits.pids:
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            threads.append(thread)
        return f"started {len(threads)} threads"
    except RuntimeError as error:
        # Python hides the errno; there is only one for which a thread is refused.
        hold(f"{len(threads)} threads")
        raise BlockingIOError(11, str(error)) from error
    finally:
        end.set()


@attempt("EAGAIN", weakness="root")
def queue_signals_without_end(target: Target) -> str:
    """Queue signals that nobody takes: the kernel counts them for a user, not for a sandbox."""
    last = signal.SIGRTMAX
    signal.pthread_sigmask(signal.SIG_BLOCK, [last])
    information = ctypes.create_string_buffer(int(last).to_bytes(4, "little") + bytes(4) + b"\xff" * 4, 128)
    queued = 0
    try:
        while queued <= target.limits.pending_signals:
            kernel.call("rt_sigqueueinfo", os.getpid(), last, kernel.address(information))
            queued += 1
    except OSError:
        hold(f"{queued} signals")
        raise
    return f"queued {queued} signals"
