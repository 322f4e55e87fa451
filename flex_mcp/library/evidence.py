"""What trajectories are worth as evidence: who verified them, and how they ended."""

from collections.abc import Sequence

from flex_mcp.models import Outcome, RecordedTrajectory, VerifiedBy

ORDINARY = 3  # the priority of a lesson about which nothing is known
SELF_REPORTED = {VerifiedBy.SELF, VerifiedBy.NONE}


def starting_priority(trajectories: Sequence[RecordedTrajectory]) -> int:
    """The priority (1 to 5) with which a lesson from these trajectories begins.

    The best of them counts, and one more is added where two independent ones were verified.
    """
    if not trajectories:
        return ORDINARY
    verified = [one for one in trajectories if one.verified_by not in SELF_REPORTED]
    tasks = {(one.task, one.agent) for one in verified}
    return min(5, max(map(_weight, trajectories)) + (len(tasks) > 1))


def _weight(trajectory: RecordedTrajectory) -> int:
    """Nobody has a reason to report a failure of his own that was none: it weighs more."""
    verified = trajectory.verified_by not in SELF_REPORTED
    match trajectory.outcome:
        case Outcome.SUCCESS:
            return 4 if verified else 2
        case Outcome.FAILURE:
            return 4 if verified else 3
        case Outcome.PARTIAL:
            return 3 if verified else 2
        case Outcome.UNKNOWN:
            return 2
