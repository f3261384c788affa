"""A steady load on one agent, and what came of each request."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from local.demo.stage import Stage

_PAUSE_SECONDS = 0.1
_AT_ONCE = 4
"""Where more are open, the next one waits: a machine that cannot hold the rate is asked less often.

Each needs a worker of the invoke function, and many that start at once on few cores outlast its time limit.
"""


@dataclass(frozen=True)
class Answer:
    """What the request of this number came to; `answered_at_number` of them were sent by then."""

    number: int
    answered_at_number: int
    outcome: str
    content: str


@dataclass
class Load:
    """Sends ten requests a second; what is answered by 202 is followed to its end."""

    stage: Stage
    slug: str
    sent: int = 0
    answers: list[Answer] = field(default_factory=list)
    _open: list[Future[None]] = field(default_factory=list)
    _began_at: float = 0.0
    _sent_at: float = 0.0

    @property
    def rate(self) -> float:
        """Return how many requests a second were sent from the first to the last."""
        return (self.sent - 1) / (self._sent_at - self._began_at)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Send for the length of the block, and then wait for every answer."""
        over = threading.Event()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # Workers start slowly, and a load that waits for them is none yet.
            list(pool.map(self._wake, range(_AT_ONCE)))
            sender = threading.Thread(target=self._send, args=(pool, over))
            sender.start()
            try:
                yield self
            finally:
                over.set()
                sender.join()
        self.raise_what_broke()

    def raise_what_broke(self) -> None:
        """Raise what an exchange broke with, if any did."""
        for each in self._open:
            if each.done():
                each.result()

    def _send(self, pool: ThreadPoolExecutor, over: threading.Event) -> None:
        places = threading.Semaphore(_AT_ONCE)
        due = self._began_at = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            places.acquire()
            self._sent_at = time.monotonic()
            asked = pool.submit(self._ask, self.sent)
            asked.add_done_callback(lambda _: places.release())
            self._open.append(asked)
            self.sent += 1
            due += _PAUSE_SECONDS

    def _wake(self, _: int) -> None:
        self.stage.invoke(self.slug, "wake up")

    def _ask(self, number: int) -> None:
        answer = self.stage.http.post(f"/agents/{self.slug}/invoke", json={"prompt": "which?"})
        body = answer.json()
        if answer.status_code == 202:
            body = self.stage.wait_for(self.slug, body["invocation_id"])
        outcome = f"{answer.status_code} {body.get('status', body)}"
        self.answers.append(Answer(number, self.sent, outcome, str(body.get("response_content"))))
