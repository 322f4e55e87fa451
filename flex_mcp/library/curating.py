"""What a person or agent may do to one experience, as pure changes of its snapshot."""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from flex_mcp.arguments import Fields
from flex_mcp.errors import InputError
from flex_mcp.models import (
    Curation,
    Revision,
    RevisionKind,
    Snapshot,
    Status,
    clean_domain,
)

EDITABLE = ("zone", "level", "title", "when", "lesson", "examples", "domain", "tags", "priority")


def curated(
    now: Snapshot, action: Curation, fields: Fields, history: Sequence[Revision]
) -> tuple[Snapshot, RevisionKind]:
    """The experience after the action, and the kind of revision that this makes.

    Raises:
        InputError: the action does not go with the experience's status or with the fields.
    """
    _check_fields(action, fields)
    match action:
        case Curation.APPROVE:
            _check_status(now, action, Status.ACTIVE, Status.QUARANTINED)
            return replace(now, status=Status.ACTIVE), RevisionKind.APPROVE
        case Curation.QUARANTINE:
            _check_status(now, action, Status.ACTIVE)
            return replace(now, status=Status.QUARANTINED), RevisionKind.QUARANTINE
        case Curation.RETIRE:
            _check_status(now, action, Status.ACTIVE, Status.QUARANTINED)
            return replace(now, status=Status.RETIRED), RevisionKind.RETIRE
        case Curation.RESTORE:
            _check_status(now, action, Status.RETIRED)
            return replace(now, status=Status.ACTIVE, superseded_by=None), RevisionKind.RESTORE
        case Curation.EDIT:
            return edited(now, fields), RevisionKind.EDIT
        case Curation.REVERT:
            return _reverted(now, fields.revision, history)
        case _:
            assert_never(action)


def _check_status(now: Snapshot, action: Curation, *allowed: Status) -> None:
    if now.status not in allowed:
        raise InputError(
            f"an experience that is {now.status} cannot be {_done(action)}: "
            f"only one that is {' or '.join(allowed)}"
        )


def _done(action: Curation) -> str:
    return f"{action}d" if action.endswith("e") else f"{action}ed"


def _given(fields: Fields) -> dict[str, object]:
    values = {name: getattr(fields, name) for name in EDITABLE}
    return {name: value for name, value in values.items() if value is not None}


def _check_fields(action: Curation, fields: Fields) -> None:
    given = _given(fields)
    if action is Curation.EDIT and not given:
        raise InputError(f"edit needs fields: at least one of {', '.join(EDITABLE)}")
    if action is not Curation.EDIT and given:
        raise InputError(f"{action} takes no {', '.join(given)}: use edit to change the text")
    if action is not Curation.REVERT and fields.revision is not None:
        raise InputError(f"{action} takes no revision: use revert")


def edited(now: Snapshot, fields: Fields) -> Snapshot:
    given = _given(fields)
    if "domain" in given:
        given["domain"] = clean_domain(fields.domain)
    return replace(now, **given)  # pyright: ignore[reportArgumentType]  names and types of Fields


def _reverted(
    now: Snapshot, number: int | None, history: Sequence[Revision]
) -> tuple[Snapshot, RevisionKind]:
    """The experience as it was before a revision; before its first one it was not there."""
    wanted = history[-1].revision if number is None else number
    revision = next((one for one in history if one.revision == wanted), None)
    if revision is None:
        raise InputError(f"there is no revision {wanted}: the last one is {history[-1].revision}")
    before = revision.before or replace(revision.after, status=Status.RETIRED)
    return before, _kind(now, before)


def _kind(now: Snapshot, after: Snapshot) -> RevisionKind:
    """A revert is written as the change that it makes."""
    if now.status is after.status:
        return RevisionKind.EDIT
    match after.status:
        case Status.ACTIVE:
            return RevisionKind.RESTORE
        case Status.QUARANTINED:
            return RevisionKind.QUARANTINE
        case Status.RETIRED:
            return RevisionKind.RETIRE
        case _:
            assert_never(after.status)
