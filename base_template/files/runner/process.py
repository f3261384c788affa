"""The agent's process: how it is spawned, and how its group ends."""

import os

_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25
JOB_VARIABLE, PROMPT_VARIABLE = "CASTARI_JOB", "CASTARI_PROMPT"


class Agent:
    """A started agent and our ends of its pipes."""

    def __init__(self, pid: int, stdin: int, stdout: int, stderr: int, usage: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.stdin, self.stdout, self.stderr, self.usage = stdin, stdout, stderr, usage

    def close(self) -> None:
        """Give back what it holds, of an agent that nobody follows."""
        for fd in (self.pidfd, self.stdin, self.stdout, self.stderr, self.usage):
            os.close(fd)


def read_command(path: str) -> tuple[str, list[str]]:
    """Return the working directory and the words of a command, as the build wrote them: each ended by a NUL.

    Raises `OSError`, `ValueError`.
    """
    with open(path, "rb") as file:
        folder, *words = file.read().decode("utf-8", "surrogateescape").split("\0")[:-1]
    return folder, words


def agent_environment(folder: str) -> dict[str, str]:
    """Return our own environment without what only the runner is told."""
    hidden = {JOB_VARIABLE, PROMPT_VARIABLE, "OLDPWD", "_"}
    more = {"PWD": folder, "CASTARI_USAGE_FILE": usage_file()}
    return {name: value for name, value in os.environ.items() if name not in hidden} | more


def usage_file() -> str:
    """Return where the agent may say what it used; there is no such file until it does."""
    return f"/tmp/castari-usage-{os.getpid()}"  # noqa: S108 - the sandbox is the agent's own


def transcripts_folder() -> str:
    """Return where Claude Code and the Claude Agent SDK keep what they write down, if the agent uses them."""
    home = os.environ.get("CLAUDE_CONFIG_DIR") or f"{os.environ.get('HOME', '/home/user')}/.claude"
    return f"{home}/projects"


def spawn(
    folder: str, words: list[str], more: dict[str, str] | None = None, pipes: tuple[int, ...] = ()
) -> Agent:
    """Start the agent in a session of its own, so that its group can be ended. Raises `OSError`.

    On descriptor 3 it may say what it used; most programs never look there. `pipes` follow from 4 on, and
    `more` is what its environment has beyond ours.
    """
    os.chdir(folder)
    stdin, our_stdin = os.pipe()
    our_stdout, stdout = os.pipe()
    our_stderr, stderr = os.pipe()
    our_usage, usage = os.pipe()
    pid = os.posix_spawnp(
        words[0],
        words,
        agent_environment(folder) | (more or {}),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, pipe, fd) for fd, pipe in enumerate((stdin, stdout, stderr, usage, *pipes))
        ],
        setsid=True,
        # Python ignores these two; a program expects to die of them.
        setsigdef=[_SIGPIPE, _SIGXFSZ],
    )
    for theirs in (stdin, stdout, stderr, usage):
        os.close(theirs)
    _offer_to_the_oom_killer(pid)
    return adopt(pid, our_stdin, our_stdout, our_stderr, our_usage)


def adopt(pid: int, stdin: int, stdout: int, stderr: int, usage: int) -> Agent:
    """Return a child of ours as the agent, with our ends of its pipes, which nothing else may inherit."""
    for ours in (stdin, stdout, stderr, usage):
        os.set_blocking(ours, False)
        os.set_inheritable(ours, False)
    return Agent(pid, stdin, stdout, stderr, usage)


def _offer_to_the_oom_killer(pid: int) -> None:
    """Make the agent, not the runner, the first to go when memory ends: somebody must tell the story."""
    try:
        with open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def kill_group(agent: Agent) -> None:
    """End the agent and what it started; nothing left is fine."""
    try:
        os.killpg(agent.pid, _SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def reap(agent: Agent) -> int | None:
    """Return the exit code, negative for a signal, or None while it cannot be known."""
    pid, status = os.waitpid(agent.pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None
