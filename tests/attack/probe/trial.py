"""Tries one attempt in a process of its own, so that whatever becomes of it the next one can follow."""

import os
import signal
import traceback
from contextlib import suppress
from typing import NoReturn

from . import wire
from .attempts import Attempt, Refused, reason_of
from .targets import Target

_PATIENCE_SECONDS = 60


def try_one(attempt: Attempt, target: Target) -> None:
    """Run the attempt and tell how it ended: in evidence, in a refusal, or in the death of its process."""
    wire.begin(attempt.name)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid == 0:
        _run(attempt, target)
    ended = signal.sigtimedwait([signal.SIGCHLD], _PATIENCE_SECONDS)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if ended is None:
        wire.tell("refused", "endless", f"stopped after {_PATIENCE_SECONDS} seconds")
    elif os.WIFSIGNALED(status):
        wire.tell("refused", signal.Signals(os.WTERMSIG(status)).name)
    elif os.WEXITSTATUS(status):
        wire.tell("refused", "broken", f"the probe itself failed with {os.WEXITSTATUS(status)}")


def _run(attempt: Attempt, target: Target) -> NoReturn:
    code = 1
    try:
        # A group of its own, so that everything it starts can be ended together.
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        _try(attempt, target)
        code = 0
    except BaseException:  # noqa: BLE001 - never back into the parent's code
        traceback.print_exc()
    finally:
        os._exit(code)


def _try(attempt: Attempt, target: Target) -> None:
    try:
        evidence = attempt.run(target)
    except Refused as refusal:
        wire.tell("refused", refusal.reason, refusal.detail)
    except OSError as error:
        wire.tell("refused", reason_of(error), str(error))
    else:
        wire.tell("succeeded", "", evidence)
