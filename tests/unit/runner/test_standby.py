"""Agents of Node.js whose interpreter waits in the sandbox: none of them runs early, nor notices."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.node import sandbox_node
from tests.unit.runner.object_store import ObjectStore
from tests.unit.runner.runs import Run

TELL = """
const { readFileSync, readdirSync, readlinkSync } = process.getBuiltinModule("node:fs");
const { length: pipes } = readdirSync("/proc/self/fd").filter((fd) => {
  try { return readlinkSync(`/proc/self/fd/${fd}`).startsWith("pipe:"); } catch { return false; }
});
const { argv, argv0, execArgv, env } = process;
const [cwd, prompt, hour] = [process.cwd(), readFileSync(0, "utf8"), new Date(0).getHours()];
const { locale } = Intl.DateTimeFormat().resolvedOptions();
console.log(JSON.stringify({ argv, argv0, execArgv, env, pipes, cwd, prompt, hour, locale }));
"""
MODULES = """
const [child_process, worker_threads] = ["child_process", "worker_threads"].map(process.getBuiltinModule);
"""
CHILDREN = {
    "fork": "if (process.send) process.send('child'); else child_process.fork(agent).on('message', say);",
    "worker": "const { isMainThread, parentPort, Worker } = worker_threads;"
    "if (isMainThread) new Worker(agent).on('message', say); else parentPort.postMessage('child');",
    "same command": "if (process.argv[2]) say('child'); else process.stdout.write(child_process.execFileSync("
    "process.execPath, [...process.execArgv, agent, 'again']));",
}
KINDS = ["mjs", "cjs", "js"]


@pytest.fixture
def early(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("PATH", f"{sandbox_node().parent}:{os.environ['PATH']}")
    run = Run(store, tmp_path, ahead=True)
    yield run
    run.wait_for_standbys()


@pytest.fixture
def late(store: ObjectStore, tmp_path: Path) -> Run:
    return Run(store, tmp_path)


def _booted(run: Run, agent: str) -> int:
    """Begin to wait with an agent, and return its interpreter once that waits too."""
    run.prepare("node", agent)
    run.stand_by()
    run.wait_until_booted()
    (interpreter,) = run.interpreters()
    return interpreter


def _await(ended: int) -> None:
    """Wait until the process of a pidfd has ended, and close that."""
    signal_of_end = select.poll()
    signal_of_end.register(ended, select.POLLIN)
    assert signal_of_end.poll(10_000)
    os.close(ended)


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_sees_the_same_whether_its_interpreter_waited_or_not(
    early: Run, late: Run, tmp_path: Path, kind: str
) -> None:
    (tmp_path / f"agent.{kind}").write_text(TELL)
    told = [json.loads(run("node", f"agent.{kind}", "word")["stdout"]) for run in (early, late)]
    for each in told:
        assert each["env"].pop("CASTARI_USAGE_FILE").startswith("/tmp/castari-usage-")
        each["env"].pop("SHLVL")  # Of the shells before it, which nobody counts on.
    assert told[0] == told[1]
    assert told[0]["execArgv"] == []
    assert told[0]["env"]["SECRET"] == "from the secret store"


def test_a_time_zone_of_the_attempt_counts(early: Run, tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text(TELL)
    assert json.loads(early("node", "agent.mjs", variables={"TZ": "Asia/Tokyo"})["stdout"])["hour"] == 9


def test_the_options_of_an_agents_command_are_kept(early: Run, tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text(TELL)
    told = json.loads(early("node", "--enable-source-maps", "agent.mjs")["stdout"])
    assert told["execArgv"] == ["--enable-source-maps"]


@pytest.mark.parametrize("kind", ["mjs", "cjs"])
@pytest.mark.parametrize("child", CHILDREN)
def test_what_an_agent_starts_does_not_wait(early: Run, tmp_path: Path, kind: str, child: str) -> None:
    names = f"const say = (word) => console.log(word); const agent = '{tmp_path}/agent.{kind}';"
    (tmp_path / f"agent.{kind}").write_text(MODULES + names + CHILDREN[child])
    assert early("node", f"agent.{kind}")["stdout"] == "child\n"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_agent_runs_before_its_attempt(early: Run, tmp_path: Path, kind: str) -> None:
    (tmp_path / f"agent.{kind}").write_text("process.getBuiltinModule('fs').appendFileSync('ran', 'once');")
    _booted(early, f"agent.{kind}")
    assert not (tmp_path / "ran").exists()
    with early.handed_over() as process:
        process.communicate()
    assert (tmp_path / "ran").read_text() == "once"


def test_the_interpreter_that_waited_is_the_one_that_runs(early: Run, tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text("console.log(process.pid)")
    waited = _booted(early, "agent.mjs")
    with early.handed_over() as process:
        output, _ = process.communicate()
    assert early.report(output)["stdout"] == f"{waited}\n"


@pytest.mark.parametrize(
    "variables", [{"NODE_OPTIONS": "--title=chosen"}, {"NODE_EXTRA_CA_CERTS": "/none"}, {"LANG": "de_DE"}]
)
def test_an_interpreter_that_booted_with_other_settings_is_replaced(
    early: Run, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "agent.mjs").write_text("console.log(process.pid)")
    waited = _booted(early, "agent.mjs")
    with early.handed_over(variables=variables) as process:
        output, _ = process.communicate()
    assert early.report(output)["stdout"].strip() not in {"", str(waited)}
    assert not Path(f"/proc/{waited}").exists()


def test_an_interpreter_that_ended_while_it_waited_is_replaced(early: Run, tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text("console.log('hi')")
    waited = _booted(early, "agent.mjs")
    ended = os.pidfd_open(waited)
    os.kill(waited, signal.SIGKILL)
    _await(ended)
    with early.handed_over() as process:
        output, _ = process.communicate()
    assert early.report(output)["stdout"] == "hi\n"


def test_a_standby_that_is_gone_leaves_all_to_the_shell(early: Run) -> None:
    early.prepare("echo", "hi")
    early.stand_by()
    early.standbys[-1].kill()
    early.standbys.pop().communicate()
    with early.handed_over() as process:
        output, _ = process.communicate()
    assert early.report(output)["stdout"] == "hi\n"


def test_a_standby_that_is_ended_ends_its_interpreter(early: Run, tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text("process.getBuiltinModule('fs').appendFileSync('ran', 'once');")
    waited = _booted(early, "agent.mjs")
    ended = os.pidfd_open(waited)
    early.standbys[-1].kill()
    early.standbys.pop().communicate()
    _await(ended)
    assert not (tmp_path / "ran").exists()


def test_a_long_environment_is_handed_over_whole(early: Run, tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text("console.log(Object.values(process.env).join('').length > 300_000)")
    variables = {f"LONG_{number}": "é\n=" * 10_000 for number in range(10)}
    assert early("node", "agent.mjs", variables=variables)["stdout"] == "true\n"
