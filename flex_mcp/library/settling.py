"""Settling a brief: what a model decided on its lessons is placed as a whole, or not at all."""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from flex_mcp.errors import AnswerError
from flex_mcp.library import briefs, curating
from flex_mcp.library.lessons import PreparedLessons, place, prepare
from flex_mcp.models import Brief, Curation, Decision, Fields, Origin, Placement
from flex_mcp.safety.redaction import Redactor
from flex_mcp.search.embedder_choice import Embedders
from flex_mcp.storage.protocol import Store, Writing


class _DryRun(Exception):
    """Everything was decided; nothing shall stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A placement that is checked and embedded, outside any transaction."""

    placement: Placement
    lessons: PreparedLessons
    narrowed: Sequence[curating.PreparedChange]
    origin: Origin
    now: datetime


def ready(
    store: Store,
    embedders: Embedders,
    redactor: Redactor,
    placement: Placement,
    *,
    origin: Origin,
    now: datetime,
) -> Ready:
    """Make a placement ready.

    Raises:
        EmbedderError: its texts cannot be embedded.
    """

    def narrowing(when: str) -> curating.Change:
        return curating.Change(
            action=Curation.EDIT,
            fields=Fields(when=when),
            reason="it holds more narrowly beside a new lesson",
            actor=origin.by,
            now=now,
            origin=origin,
        )

    return Ready(
        placement=placement,
        lessons=prepare(placement.lessons, store, embedders, redactor),
        narrowed=[
            change
            for id_, when in redactor.value(placement.narrowed).items()
            if not (change := curating.prepare(store, embedders, id_, narrowing(when))).held
        ],  # one whose new text is held back stays as it is
        origin=origin,
        now=now,
    )


def settled(
    transaction: AbstractContextManager[Writing],
    brief_id: str,
    given: Ready,
    answer_hash: str,
    *,
    dry_run: bool,
) -> list[Decision]:
    """Place everything in one transaction and close the brief; see `Library.settle_brief`."""
    decisions: list[Decision] = []
    with contextlib.suppress(_DryRun), transaction as writing:
        brief = briefs.open_for(writing, brief_id, answer_hash)
        if brief.answer_hash is not None:
            return list(brief.decisions)
        decisions += _placed(writing, brief, given)
        if dry_run:
            decisions = briefs.without_new(decisions)
            raise _DryRun
        briefs.close(writing, brief, answer_hash, decisions)
    return decisions


def _placed(writing: Writing, brief: Brief, given: Ready) -> list[Decision]:
    seen = given.placement.seen
    briefs.check_unchanged(writing, given.placement)
    found = writing.trajectories(brief.trajectory_ids)
    decisions = place(writing, given.lessons, found, origin=given.origin, now=given.now, seen=seen)
    for change in given.narrowed:
        curating.narrowed(writing, change, seen)
    if problems := briefs.refusals(decisions):
        raise AnswerError(problems)
    return decisions
