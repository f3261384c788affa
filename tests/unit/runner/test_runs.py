"""The runner as a real process: what it hands in for agents of every temper. The agents here are harmless."""

import base64
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.unit.runner.object_store import ObjectStore
from tests.unit.runner.runs import Run


def test_the_prompt_reaches_stdin_and_stdout_comes_back(run: Run, store: ObjectStore) -> None:
    report = run("cat", prompt="grüße\n".encode())
    assert (report["stdout"], report["exit_code"], report["signal"]) == ("grüße\n", 0, None)
    assert json.loads(store.objects["/result"]) == report


def test_frames_tell_the_start_and_then_the_result(run: Run) -> None:
    run("true")
    assert [frame["castari"] for frame in run.frames] == ["started", "result"]


def test_a_result_is_stored_also_when_somebody_attends(run: Run, store: ObjectStore) -> None:
    report = run("echo", "hi", attended=True)
    assert json.loads(store.objects["/result"]) == report


def test_the_closing_frame_does_not_wait_for_the_store(run: Run, store: ObjectStore) -> None:
    store.open.clear()
    with run.started("echo", "hi") as process:
        assert process.stdout is not None
        _, closing = (json.loads(process.stdout.readline()) for _ in range(2))
        assert not store.objects
        store.open.set()
    assert closing["report"]["stdout"] == "hi\n"
    assert json.loads(store.objects["/result"]) == closing["report"]


def test_a_result_is_stored_also_when_nobody_can_read_what_is_printed(run: Run, store: ObjectStore) -> None:
    store.open.clear()
    with run.started("sh", "-c", "sleep 0.2; echo hi") as process:
        assert process.stdout is not None
        process.stdout.close()
        store.open.set()
    run.wait_for_standbys()
    assert json.loads(store.objects["/result"])["stdout"] == "hi\n"


def test_a_long_prompt_is_fetched(run: Run, store: ObjectStore) -> None:
    store.objects["/prompt"] = b"x" * 300_000
    assert run("wc", "-c", prompt=None)["stdout"].strip() == "300000"


def test_a_prompt_that_cannot_be_fetched_is_reported_and_the_agent_ended(run: Run) -> None:
    report = run("cat", prompt=None)
    assert "the prompt could not be fetched: the store answered 404" in report["problem"]
    assert report["signal"] == signal.SIGKILL


def test_the_agent_sees_its_secrets_but_not_what_the_runner_is_told(run: Run) -> None:
    environment = run("env")["stdout"]
    assert "SECRET=from the secret store" in environment
    told = [line.partition("=")[0] for line in environment.splitlines() if line.startswith("CASTARI_")]
    assert told == ["CASTARI_USAGE_FILE"]
    assert "signature" not in environment


def test_the_agent_runs_in_its_own_folder(run: Run, tmp_path: Path) -> None:
    assert run("pwd")["stdout"].strip() == str(tmp_path)


def test_an_exit_code_and_stderr_are_kept_apart_from_the_answer(run: Run) -> None:
    report = run("sh", "-c", "echo answer; echo reason >&2; exit 3")
    assert (report["stdout"], report["stderr"], report["exit_code"]) == ("answer\n", "reason\n", 3)


def test_a_signal_that_the_runner_did_not_send_is_named(run: Run) -> None:
    report = run("sh", "-c", "kill -SEGV $$")
    assert (report["signal"], report["exit_code"], report["timed_out"]) == (signal.SIGSEGV, None, False)


def test_an_agent_past_its_time_is_killed_with_all_its_group(run: Run, tmp_path: Path) -> None:
    began = time.monotonic()
    report = run("sh", "-c", "echo partial; sleep 60 & echo $! > pid; wait", timeout=0.5)
    assert report["timed_out"]
    assert report["stdout"] == "partial\n"
    assert time.monotonic() - began < 10
    assert not _alive(int((tmp_path / "pid").read_text()))


def test_a_process_left_behind_that_holds_stdout_delays_nothing(run: Run, tmp_path: Path) -> None:
    began = time.monotonic()
    report = run("sh", "-c", "setsid sleep 30 & echo $! > pid; echo done")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert (report["stdout"], report["exit_code"]) == ("done\n", 0)
    assert time.monotonic() - began < 10


def test_output_beyond_the_cap_is_drained_counted_and_marked(run: Run, store: ObjectStore) -> None:
    report = run("head", "-c", "50000000", "/dev/zero", kept_bytes=500_000)
    assert (report["stdout_bytes"], report["truncated"], report["exit_code"]) == (50_000_000, True, 0)
    assert (report["stdout"], report["stdout_stored"]) == (None, True)
    assert len(store.objects["/output"]) == 500_000


def test_a_character_that_the_cap_cuts_in_two_is_left_out(run: Run) -> None:
    report = run("sh", "-c", "printf aéé", kept_bytes=4)
    assert (report["stdout"], report["truncated"], report["stdout_is_base64"]) == ("aé", True, False)


def test_output_that_is_no_text_comes_back_without_loss(run: Run) -> None:
    report = run("sh", "-c", r"printf '\377\000\001'")
    assert report["stdout_is_base64"]
    assert base64.b64decode(report["stdout"]) == b"\xff\x00\x01"


def test_of_long_stderr_the_end_is_kept(run: Run) -> None:
    report = run("sh", "-c", "head -c 100000 /dev/zero >&2; echo the reason >&2")
    assert report["stderr"].endswith("the reason\n")
    assert len(report["stderr"]) == 1_000
    assert report["stderr_bytes"] == 100_011


def test_an_agent_that_reads_nothing_and_says_nothing_completes(run: Run, store: ObjectStore) -> None:
    store.objects["/prompt"] = b"x" * 900_000
    report = run("true", prompt=None)
    assert (report["stdout"], report["exit_code"]) == ("", 0)


def test_a_command_that_cannot_be_started_is_reported(run: Run) -> None:
    report = run("/nonexistent/node")
    assert "the agent could not be started" in report["problem"]
    assert "exit_code" not in report


def test_an_agent_that_ends_before_the_runner_is_there_is_told_of_like_any_other(run: Run) -> None:
    ends = [run("sh", "-c", "echo hi; kill -SEGV $$") for _ in range(5)]
    assert {(end["stdout"], end["signal"]) for end in ends} == {("hi\n", signal.SIGSEGV)}


def test_the_agent_gets_four_pipes_and_nothing_else_of_the_runner(run: Run) -> None:
    kinds = run("bash", "-c", "for fd in /proc/$$/fd/*; do readlink $fd; done")["stdout"].split()
    pipes = [kind for kind in kinds if kind.startswith("pipe:")]
    assert len(set(pipes)) == len(pipes) == 4


def test_a_busy_store_is_tried_again(run: Run, store: ObjectStore) -> None:
    store.refusals = [503, 500]
    report = run("true")
    assert store.requests == ["PUT /result"] * 3
    assert json.loads(store.objects["/result"]) == report


def test_a_result_that_is_stored_already_is_left_alone(run: Run, store: ObjectStore) -> None:
    store.objects["/result"] = b"first"
    run("true")
    assert store.objects["/result"] == b"first"


def test_a_store_that_refuses_leaves_the_closing_frame_to_tell(run: Run, store: ObjectStore) -> None:
    store.refusals = [403]
    assert run("echo", "hi")["stdout"] == "hi\n"
    assert store.requests == ["PUT /result"]
    assert not store.objects


def test_the_agent_is_offered_to_the_oom_killer_before_the_runner(run: Run) -> None:
    assert run("sh", "-c", "sleep 0.2; cat /proc/self/oom_score_adj")["stdout"].strip() == "1000"


def _alive(pid: int) -> bool:
    """A killed process whose parent is gone may wait for a slow init to reap it: a zombie is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_the_agent_says_it_used_is_in_the_report_and_leaves_no_file(run: Run) -> None:
    said = (
        'echo \'{"input_tokens": 7, "cost_usd": 0.5}\' >> "$CASTARI_USAGE_FILE"; echo "$CASTARI_USAGE_FILE"'
    )
    report = run("sh", "-c", said)
    assert report["usage"] == {"input_tokens": 7, "output_tokens": 0, "cost_micro_dollars": 500_000}
    assert not Path(report["stdout"].strip()).exists()
    assert "usage" not in run("true")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("keeps", [True, False])
def test_only_a_session_keeps_what_the_agent_leaves_running(run: Run, keeps: bool) -> None:
    left = int(run("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!", keeps_processes=keeps)["stdout"])
    deadline = time.monotonic() + 5
    while not keeps and _lives(left) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _lives(left) == keeps
    if keeps:
        os.kill(left, signal.SIGKILL)
