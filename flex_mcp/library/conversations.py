"""The turns of open briefs: what was asked and answered so far, kept until the brief ends."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flex_mcp.errors import InputError
from flex_mcp.library.briefs import open_for
from flex_mcp.models import Brief
from flex_mcp.models.briefs import Reply, Turn
from flex_mcp.safety.redaction import Redactor
from flex_mcp.storage.protocol import Store, Transaction


@dataclass(frozen=True, slots=True)
class ConversationLog:
    """A library's turns; each verb is one transaction, in the name of one client."""

    _store: Store
    _transaction: Callable[[str, str], AbstractContextManager[Transaction]]
    _now: Callable[[], datetime]
    _redactor: Redactor
    _client: str = "python"

    def by(self, client: str) -> "ConversationLog":
        """The same, in the name of a client."""
        return replace(self, _client=client)

    def _writing(self, verb: str) -> AbstractContextManager[Transaction]:
        return self._transaction(verb, self._client)

    def of(self, brief_id: str) -> tuple[Brief | None, list[Turn]]:
        """A brief and its turns in order; a brief that has ended has none."""
        with self._store.reading() as reading:
            return reading.briefs.get(brief_id), reading.conversations.turns(brief_id)

    def put(self, turn: Turn) -> Turn:
        """Keep a question; where one was put in its place meanwhile, that one is returned.

        Raises:
            InputError: the brief has ended meanwhile, or its trajectories were distilled.
        """
        with self._writing("ask") as writing:
            open_for(writing, turn.brief_id, "")
            if kept := _kept(writing, turn):
                return kept
            writing.conversations.put(turn)
            if kept := _kept(writing, turn):
                return kept
        raise InputError(f"{turn.brief_id} has ended meanwhile: call distill again")

    def reply(self, turn: Turn, reply: Reply) -> None:
        """Keep a reply; the first one of a turn stays."""
        reply = self._redactor.value(reply)  # a client's model may know more than it was asked
        with self._writing("reply") as writing:
            if kept := _kept(writing, turn):
                writing.conversations.put(replace(kept, reply=reply, batch=None))

    def claim(self, brief_id: str, lasting: timedelta) -> None:
        """Keep the trajectories of an open brief claimed from now on for so long."""
        with self._writing("claim") as writing:
            writing.briefs.extend(brief_id, self._now() + lasting)

    def take_over(self, brief: Brief, lasting: timedelta) -> bool:
        """Claim an open brief as it was seen; False where another process was faster."""
        with self._writing("claim") as writing:
            now = writing.briefs.get(brief.id)
            if now is None or now.answer_hash is not None or now.expires_at != brief.expires_at:
                return False
            writing.briefs.extend(brief.id, self._now() + lasting)
            return True

    def release(self, brief_id: str) -> None:
        """Give up: the trajectories of the brief are free at once."""
        with self._writing("release") as writing:
            writing.briefs.extend(brief_id, self._now())
            writing.conversations.clear(brief_id)

    def cost(self, brief_id: str) -> tuple[int | None, str | None]:
        """The tokens of a brief so far and the model that spoke last; None where nobody counts."""
        with self._store.reading() as reading:
            return reading.conversations.cost(brief_id)

    def batch(self, turns: Sequence[Turn], batch: str | None) -> None:
        """Say which message batch carries these turns; None: none any more."""
        with self._writing("batch") as writing:
            for turn in turns:
                if kept := _kept(writing, turn):
                    writing.conversations.put(replace(kept, batch=batch))

    def batches(self) -> Mapping[str, Sequence[str]]:
        """The message batches under way, each with the briefs whose questions it carries."""
        with self._store.reading() as reading:
            return reading.conversations.batches(self._now())


def _kept(reading: Transaction, turn: Turn) -> Turn | None:
    """A turn as it is kept by now; None once its brief has ended."""
    turns = reading.conversations.turns(turn.brief_id)
    return next((one for one in turns if one.place == turn.place), None)
