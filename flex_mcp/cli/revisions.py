"""Revisions at the terminal: who changed what, before and after, and how to take it back."""

import shlex
from collections.abc import Iterator, Mapping

import click

from flex_mcp.cli.identifiers import short
from flex_mcp.cli.output import ADDED, REMOVED, Line, moment
from flex_mcp.models import Revision, RevisionKind, Status
from flex_mcp.safety.quoting import named, one_line
from flex_mcp.tools.changes import Change, changes

MOST = 20  # ids of a line
LONG = 60  # characters of a value, from which on it gets a line of its own


def with_name(id_: str, names: Mapping[str, str]) -> str:
    return f"{id_} {short(names[id_])}" if id_ in names else id_


def revision_lines(one: Revision, names: Mapping[str, str]) -> Iterator[Line]:
    """What a revision changed, as lines: before, and after."""
    reason = f": {one_line(one.reason)}" if one.reason else ""
    source = f" (from {with_name(one.trajectory_id, names)})" if one.trajectory_id else ""
    who = f"{one.revision} {one.kind} by {named(one.actor)}, {moment(one.at)}"
    yield Line(f"- {who}{source}{reason}")
    for change in changes(one):
        yield from _change(change)


def _change(one: Change) -> Iterator[Line]:
    removed, added = (one.removed or ("none",)), (one.added or ("none",))
    if not one.removed and not one.added:
        yield Line(f"    {one.field}: in another order, or with other spaces")
    elif len(removed) == len(added) == 1 and len(removed[0] + added[0]) < LONG:
        yield Line(f"    {one.field}: {one_line(removed[0])} → {one_line(added[0])}")
    else:
        yield Line(f"    {one.field}:")
        yield from (Line(f"    - {one_line(text)}", REMOVED) for text in one.removed)
        yield from (Line(f"    + {one_line(text)}", ADDED) for text in one.added)


def command(*words: str) -> str:
    """A command on the library at hand, to be typed as it stands."""
    library = click.get_current_context().params.get("library")
    at = ("--library", library) if library else ()
    return f"`{shlex.join(('flex-mcp', *words, *at))}`"


def undo(*made: Revision) -> Iterator[str]:
    """How the last change of each is taken back; of many, of the first ones.

    That a person approved what was served already stays said.
    """
    ids = [one.experience_id for one in made if _takes_back(one)]
    more = f", and {len(ids) - MOST:,} more: --json has their ids" if len(ids) > MOST else ""
    if ids:
        yield f"Undo: {command('curate', *ids[:MOST], 'revert')}{more}"


def _takes_back(one: Revision) -> bool:
    was = one.before and one.before.status
    return one.kind is not RevisionKind.APPROVE or was is not Status.ACTIVE
