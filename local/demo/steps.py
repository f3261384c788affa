"""The demo's steps, in order; each returns the line that it shows."""

import io
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from local.demo.stage import EXAMPLES, Stage, expect, wait_until

Step = tuple[str, Callable[[Stage], str]]
_DEPLOY_SECONDS = 180

FAILURES = {
    "sleep": ("timed_out", "timeout"),
    "forks": ("completed", None),
    "memory": ("failed", "out_of_memory"),
    "disk": ("failed", "disk_full"),
    "host": ("completed", None),
    "exit 3": ("failed", "nonzero_exit"),
}
"""What comes of each prompt of the misbehaving agent: the status, and the failure's code."""


def begin(stage: Stage) -> str:
    """Agents of an earlier demo go, so that every run shows a first deploy."""
    slugs = {agent["slug"] for agent in stage.get("/agents?limit=100")} & {"hello", "misbehaving"}
    for slug in sorted(slugs):
        stage.cast_ok("agents", "delete", "--force", slug)
    return f"deleted {', '.join(sorted(slugs))}" if slugs else "nothing there yet"


def deploy(stage: Stage) -> str:
    """Upload → S3 event → version → active."""
    stage.cast_ok("deploy", folder=EXAMPLES / "hello")
    agent = stage.get("/agents/hello")
    expect(agent["status"] == "active", f"hello is {agent['status']}: {agent['status_message']}")
    return f"hello is active, source {agent['source_hash'][:12]}"


def invoke(stage: Stage) -> str:
    """One prompt in, one answer out."""
    answer = stage.cast_ok("invoke", "hello", "Ada")
    expect(answer == "Hello, Ada!", f"hello answered {answer!r}")
    body = stage.invoke("hello", "Grace")
    return f"“{answer}” and “{body['response_content'].strip()}” in {body['duration_ms']} ms"


def invoke_in_parallel(stage: Stage) -> str:
    """Five at once: five sandboxes, and nobody sees another's file."""
    with ThreadPoolExecutor(5) as pool:
        written = list(pool.map(lambda n: stage.invoke("hello", f"write Note {n}"), range(5)))
        seen = list(pool.map(lambda _: stage.invoke("hello", "notes"), range(5)))
    for answer in written:
        expect(answer["response_content"].startswith("wrote notes/note-"), f"a writer answered {answer}")
    sandboxes = {answer["sandbox_id"] for answer in written + seen}
    expect(len(sandboxes) == len(written + seen), f"only {len(sandboxes)} sandboxes for ten invocations")
    leaked = [
        answer["response_content"] for answer in seen if answer["response_content"].strip() != "no notes"
    ]
    expect(not leaked, f"an invocation saw another's file: {leaked}")
    return "5 wrote a file each, 5 more saw none; 10 invocations, 10 sandbox ids"


def invoke_through_queue(stage: Stage) -> str:
    """Answered at once, done later."""
    accepted = stage.http.post("/agents/hello/invocations", json={"prompt": "Edsger"})
    expect(
        accepted.status_code == HTTPStatus.ACCEPTED,
        f"the queue's route answered {accepted.status_code}: {accepted.text[:300]}",
    )
    done = stage.wait_for("hello", accepted.json()["invocation_id"])
    expect(done["response_content"].strip() == "Hello, Edsger!", f"the queue led to {done}")
    return f"202 at once, then “{done['response_content'].strip()}”"


def put_bundle(stage: Stage) -> str:
    """A bundle that any S3 client puts becomes the active version."""
    before = stage.get("/agents/hello")
    content = _hello_that_says("Welcome")
    key = f"bundles/{before['user_id']}/hello/demo-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.tar.gz"
    stage.put_bundle(key, content)

    def switched() -> bool:
        agent = stage.get("/agents/hello")
        expect(agent["status"] != "error", f"the bundle failed: {agent['status_message']}")
        return bool(agent["status"] == "active" and agent["source_hash"] != before["source_hash"])

    wait_until(switched, "the new bundle to become active", _DEPLOY_SECONDS)
    answer = stage.invoke("hello", "Alan")["response_content"].strip()
    expect(answer == "Welcome, Alan!", f"the new version answered {answer!r}")
    return f"{len(content)} bytes put into S3, and hello says “{answer}”"


def change_secret(stage: Stage) -> str:
    """The next invocation sees a changed secret."""
    said = []
    for greeting in ("Bonjour", "Servus"):
        stage.cast_ok("secrets", "set", "hello", "GREETING", greeting)
        said.append(stage.invoke("hello", "Ada")["response_content"].strip())
        expect(said[-1] == f"{greeting}, Ada!", f"after setting {greeting!r} hello said {said[-1]!r}")
    listed = stage.cast_ok("secrets", "list", "hello", "--json")
    expect(
        "Servus" not in listed and "GREETING" in listed, "the list of secrets shows a value, or lost the name"
    )
    stage.cast_ok("secrets", "delete", "hello", "GREETING")
    return f"“{said[0]}”, then “{said[1]}”"


def misbehave(stage: Stage) -> str:
    """Each kind of failure is named."""
    stage.cast_ok("deploy", folder=EXAMPLES / "misbehaving")
    stage.cast_ok("agents", "update", "misbehaving", "--timeout", "2")
    bodies = {"sleep": stage.invoke("misbehaving", "sleep")}
    stage.cast_ok("agents", "update", "misbehaving", "--timeout", "60")
    prompts = [prompt for prompt in FAILURES if prompt not in bodies]
    with ThreadPoolExecutor(2) as pool:
        bodies |= zip(
            prompts, pool.map(lambda prompt: stage.invoke("misbehaving", prompt), prompts), strict=True
        )
    for prompt, body in bodies.items():
        found = (body["status"], (body["failure"] or {}).get("code"))
        expect(found == FAILURES[prompt], f"{prompt!r} ended as {found}, not {FAILURES[prompt]}: {body}")
    return "each failure named:" + "".join(_told(prompt, bodies[prompt]) for prompt in FAILURES)


def _told(prompt: str, body: dict[str, Any]) -> str:
    said = body["failure"]["message"] if body["failure"] else body["response_content"].strip()
    return f"\n    {prompt:8} {body['status']:10} {' · '.join(said.splitlines())[:110]}"


def stop(stage: Stage) -> str:
    """Stopping the agents leaves no sandbox."""
    for slug in ("hello", "misbehaving"):
        stage.cast_ok("stop", slug)
    wait_until(lambda: not stage.sandboxes(), "all sandboxes to be gone", 60)
    return f"sandboxes left: {len(stage.sandboxes())}"


STEPS: tuple[Step, ...] = (
    ("begin", begin),
    ("deploy", deploy),
    ("invoke", invoke),
    ("five at once", invoke_in_parallel),
    ("through the queue", invoke_through_queue),
    ("a bundle put into S3", put_bundle),
    ("a changed secret", change_secret),
    ("misbehaving", misbehave),
    ("stop", stop),
)


def _hello_that_says(greeting: str) -> bytes:
    """Return hello's folder as a tar.gz with another greeting in its source."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("castari.json", "package.json", "package-lock.json", "tsconfig.json", "src/index.ts"):
            content = (EXAMPLES / "hello" / name).read_bytes()
            content = content.replace(b'"Hello"', f'"{greeting}"'.encode())
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
