"""Outcomes: how work ended, as often as somebody said so."""

from dataclasses import dataclass
from datetime import datetime

from flex_mcp.models.searches import Counters
from flex_mcp.models.vocabulary import OurId, Outcome, VerifiedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOutcome:
    """How a trajectory's work ended, or what a search was for, as `by` said at that time."""

    outcome: Outcome
    at: datetime
    by: str
    trajectory_id: OurId | None = None
    retrieval_id: OurId | None = None
    score: float | None = None
    feedback: str | None = None
    verified_by: VerifiedBy = VerifiedBy.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a late outcome of a trajectory counts for, and the experiences that were learnt from it.

    `known` says that it had been told before and changes nothing.
    """

    trajectory_id: str
    updated: tuple[Counters, ...] = ()
    learnt: tuple[str, ...] = ()
    known: bool = False
