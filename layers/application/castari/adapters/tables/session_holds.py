"""Transactions that change an invocation and the session it runs in with one stroke."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from castari.adapters.tables import transactions
from castari.adapters.tables.invocations import InvocationsTable, Write
from castari.adapters.tables.sessions import SessionsTable
from castari.errors import RequestRepeated, SessionBusy, StaleWrite
from castari.models import DailyUsage, Invocation, Session

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Changes = Mapping[str, object]
_INVOCATION, _REQUEST = 0, 2


@dataclass(frozen=True)
class SessionHolds:
    """While an invocation is `running` in a session it is the session's holder, and only then."""

    client: "DynamoDBClient"
    invocations: InvocationsTable
    sessions: SessionsTable

    def begin(
        self,
        invocation: Invocation,
        changes: Changes,
        session: Session,
        held: Changes,
        *,
        stored: bool,
        is_new: bool,
    ) -> tuple[Invocation, Session]:
        """Claim an invocation and its session. `stored` and `is_new` tell which rows exist.

        Raises `StaleWrite` if the invocation moved on, `SessionBusy` if the session did, `RequestRepeated`.
        """
        claimed = invocation.model_copy(update=dict(changes))
        taken = session.model_copy(update=dict(held))
        first, *request = (
            [self.invocations.update(invocation, changes)] if stored else self.invocations.creation(claimed)
        )
        second = (
            {"Put": self.sessions.creation(taken)}
            if is_new
            else {"Update": self.sessions.update(session, held)}
        )
        self._write([first, second, *request])
        return claimed, taken

    def change(self, invocation: Invocation, changes: Changes, session: Changes) -> Invocation:
        """Change a running invocation and the session that it holds. Raises as `begin`."""
        self._write([self.invocations.update(invocation, changes), self._held(invocation, session)])
        return invocation.model_copy(update=dict(changes))

    def put_back(self, invocation: Invocation, changes: Changes, session: Changes) -> Invocation:
        """Queue an invocation again and let go of its session, if it is still its. Raises `StaleWrite`."""
        try:
            return self.change(invocation, changes, session)
        except SessionBusy:
            return self.invocations.change(invocation, changes)

    def finish(
        self, invocation: Invocation, changes: Changes, usage: DailyUsage, session: Changes, *, again: bool
    ) -> bool:
        """Make a running invocation terminal, count it and let go of its session; `again` as in its table.

        Tells whether it held the session; if it did not, nothing of the session is changed. Raises
        `StaleWrite` for all but the first who tries.
        """
        ending, *freed = self.invocations.ending(invocation, changes, again=again)
        held = self._held(invocation, session)
        counted = {"Update": self.invocations.usage.increment(invocation.user_id, usage)}
        try:
            try:
                transactions.write(self.client, [ending, held, *freed, counted])
            except transactions.Contended:
                # Everybody counts on the same row of a busy user; the session must not wait for that.
                self._write([ending, held, *freed])
                self.invocations.usage.add(invocation.user_id, usage)
        except (transactions.ConditionsFailed, SessionBusy) as error:
            if isinstance(error, transactions.ConditionsFailed) and _INVOCATION in error.indexes:
                raise StaleWrite("the invocation moved on") from error
            self.invocations.finish(invocation, changes, usage, again=again)
            return False
        return True

    def _held(self, invocation: Invocation, changes: Changes) -> Write:
        return {
            "Update": self.sessions.release(
                invocation.agent_id, invocation.session_id, invocation.invocation_id, changes
            )
        }

    def _write(self, writes: list[Write]) -> None:
        try:
            transactions.write(self.client, writes)
        except transactions.ConditionsFailed as error:
            if _INVOCATION in error.indexes:
                raise StaleWrite("the invocation moved on") from error
            if _REQUEST in error.indexes:
                raise RequestRepeated("a request with this idempotency key was made before") from error
            raise SessionBusy("Session busy") from error
        except transactions.Contended as error:
            raise SessionBusy("Session busy") from error
