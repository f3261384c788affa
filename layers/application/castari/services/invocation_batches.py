"""Many prompts in one request: each becomes an invocation of its own, none is lost and none is made twice."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from castari.adapters.queues import Queue
from castari.adapters.tables.invocation_batches import KEYED_PER_WRITE, PER_WRITE, InvocationBatchesTable
from castari.errors import RequestRepeated, TooLarge, VendorUnavailable
from castari.messages import StartInvocation
from castari.models import Agent, Invocation, RequestKey
from castari.services.invocations import Invocations, require_active
from castari.services.requests import Requests

_AT_ONCE = 8
_ItemT = TypeVar("_ItemT")
_MadeT = TypeVar("_MadeT")


@dataclass(frozen=True)
class BatchMade:
    """The invocations in the order of their prompts, and how many of them have no message yet."""

    invocations: list[Invocation]
    unsent: int = 0


def _together(parts: Iterable[BatchMade]) -> BatchMade:
    made = list(parts)
    return BatchMade([one for part in made for one in part.invocations], sum(part.unsent for part in made))


@dataclass(frozen=True)
class InvocationBatches:
    """Rows first, messages second: what got a row but no message, sweep sets out again within minutes."""

    invocations: Invocations
    table: InvocationBatchesTable
    requests: Requests
    queue: Queue

    def submit(
        self,
        agent: Agent,
        prompts: Sequence[str],
        *,
        timeout_seconds: int | None = None,
        callback_url: str | None = None,
        requests: Sequence[RequestKey] = (),
    ) -> BatchMade:
        """Queue all prompts, in their order; with `requests`, one for each, what they made before counts.

        Raises as `Invocations.submit`,
        and `VendorUnavailable`: then nothing was accepted, or with `requests` the rest is when asked again.
        """
        require_active(agent)
        self._check(prompts)

        def draft(index: int) -> Invocation:
            request = requests[index] if requests else None
            return self.invocations.draft(
                agent,
                prompts[index],
                timeout_seconds=timeout_seconds,
                callback_url=callback_url,
                request=request,
            )

        if requests:
            return self._make_keyed(requests, draft)
        made = _at_once(draft, range(len(prompts)))
        self._write_all(made)
        return self._sent(made)

    def _check(self, prompts: Sequence[str]) -> None:
        limit = self.invocations.limits.prompt_bytes
        for index, prompt in enumerate(prompts):
            if len(prompt.encode()) > limit:
                raise TooLarge(f"prompt {index} has more than {limit} bytes: attach a file instead")

    def _write_all(self, made: Sequence[Invocation]) -> None:
        """Write all rows or, as far as we can tell, none."""
        try:
            _at_once(self.table.create, _parts(made, PER_WRITE))
        except VendorUnavailable as error:
            _at_once(self.table.delete, _parts(made, PER_WRITE))
            raise VendorUnavailable("none of the prompts was accepted: send them again") from error

    def _make_keyed(self, requests: Sequence[RequestKey], draft: Callable[[int], Invocation]) -> BatchMade:
        """Make what was not made before. The first part comes first: it tells whose the key is."""
        parts = _parts(range(len(requests)), KEYED_PER_WRITE)

        def make(part: Sequence[int]) -> BatchMade:
            return self._make_part(part, requests, draft)

        return _together([make(parts[0]), *_at_once(make, parts[1:])])

    def _make_part(
        self, part: Sequence[int], requests: Sequence[RequestKey], draft: Callable[[int], Invocation]
    ) -> BatchMade:
        if self.requests.earlier(requests[part[0]]) is None:
            made = [draft(index) for index in part]
            try:
                self.table.create_with_keys(made)
            except RequestRepeated:
                pass  # Some of it was made before, or is being made beside us.
            else:
                return self._sent(made)
        return _together(self._find_or_make(requests[index], partial(draft, index)) for index in part)

    def _find_or_make(self, request: RequestKey, draft: Callable[[], Invocation]) -> BatchMade:
        if earlier := self.requests.earlier(request):
            return BatchMade([earlier])
        made = draft()
        try:
            self.table.create_with_keys([made])
        except RequestRepeated:
            if earlier := self.requests.earlier(request):
                return BatchMade([earlier])
            raise
        return self._sent([made])

    def _sent(self, made: list[Invocation]) -> BatchMade:
        """Set the invocations out."""
        messages = [StartInvocation(invocation_id=each.invocation_id) for each in made]
        send = partial(self.queue.send_many, group=made[0].user_id)
        unsent = _at_once(send, _parts(messages, self.queue.most_at_once))
        return BatchMade(made, sum(unsent))


def _parts(items: Sequence[_ItemT], size: int) -> list[Sequence[_ItemT]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _at_once(work: Callable[[_ItemT], _MadeT], items: Iterable[_ItemT]) -> list[_MadeT]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, items))
