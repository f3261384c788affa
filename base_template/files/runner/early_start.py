"""Starts the agent's interpreter before there is an attempt, and lets it go on to the agent's code in one.

Node.js takes longer to boot than most short agents take to answer. It boots with the version's own command
line; a module that it loads first waits for the attempt's environment, so none of the agent's code has run.
"""

from __future__ import annotations

import os
import select

from runner.process import Agent, agent_environment, kill_group, spawn

_WAIT_MODULE = f"{os.path.dirname(__file__)}/wait"
_PIPE = 4
"""The descriptor that the waiting interpreter reads, and closes before the agent's code begins."""
_VARIABLE = "CASTARI_WAITS"
_READ_AT_BOOT = (
    *("PATH", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_"),
    *("NODE_", "UV_", "ICU_", "OPENSSL_", "SSL_"),
)
"""Names, by their beginning, of what an interpreter reads as it boots: it must not change afterwards."""
_NOT_READ_AT_BOOT = ("NODE_ENV", "LC_CTYPE")
"""Of those: what only programs read, and what Python itself sets where there is no locale."""


class EarlyAgent:
    """An agent that has not begun."""

    def __init__(self, folder: str, agent: Agent, pipe: int, booted_with: dict[str, str]) -> None:
        self._folder, self._agent, self._pipe, self._booted_with = folder, agent, pipe, booted_with

    @classmethod
    def start(cls, folder: str, words: list[str]) -> EarlyAgent | None:
        """Start what a version's command starts, if that can wait. Raises `OSError`."""
        if words[0] != "node":
            return None
        environment = dict(os.environ)
        theirs, ours = os.pipe()
        try:
            more = {_VARIABLE: str(_PIPE)}
            agent = spawn(folder, [words[0], *_waiting(words), *words[1:]], more, pipes=(theirs,))
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(folder, agent, ours, _read_at_boot(environment))

    def release(self) -> Agent | None:
        """Let the agent begin with what is our environment now; give it up and return None if it cannot."""
        if self._booted_with == _read_at_boot(dict(os.environ)) and self._lives() and self._tell():
            os.close(self._pipe)
            return self._agent
        self.give_up()
        return None

    def give_up(self) -> None:
        """End it; none of its agent's code has run."""
        os.close(self._pipe)
        kill_group(self._agent)
        self._agent.close()
        os.waitpid(self._agent.pid, 0)

    def _lives(self) -> bool:
        ended = select.poll()
        ended.register(self._agent.pidfd, select.POLLIN)
        return not ended.poll(0)

    def _tell(self) -> bool:
        """Hand over the environment; False if nothing of the agent's can have run."""
        try:
            variables = agent_environment(self._folder)
            text = "".join(f"{name}={value}\0" for name, value in variables.items())
            words = memoryview(f"{text}\0".encode())
            while words:
                words = words[os.write(self._pipe, words) :]
        except (OSError, UnicodeEncodeError):
            return False  # It ended, or the text is none that JavaScript has.
        return True


def _waiting(words: list[str]) -> list[str]:
    """Return the options that make Node.js wait, of the kind that its own loader for the agent's code is."""
    if words[1:] and words[1].endswith(".mjs"):
        return ["--import", f"{_WAIT_MODULE}.mjs"]
    return ["--require", f"{_WAIT_MODULE}.cjs"]


def _read_at_boot(environment: dict[str, str]) -> dict[str, str]:
    names = [name for name in environment if name.startswith(_READ_AT_BOOT) and name not in _NOT_READ_AT_BOOT]
    return {name: environment[name] for name in names}
