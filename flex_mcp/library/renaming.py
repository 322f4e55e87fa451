"""Renaming: another domain or project for experiences, each with a revision that says so."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from flex_mcp.errors import InputError
from flex_mcp.library.placing import revision_of
from flex_mcp.library.quarantine import screened
from flex_mcp.models import Renaming, RevisionKind
from flex_mcp.search.text import indexed_text
from flex_mcp.search.token_match import tokens
from flex_mcp.storage.protocol import IndexedText, Transaction


def check_harmless(name: str) -> None:
    """Refuse a name that reads like orders to a model: all lessons of that name would be held back.

    Raises:
        InputError: it does.
    """
    if why := screened(name).held(outside=True):
        raise InputError(f"that name would be held back ({why}): say another one")


def rename_experiences(
    writing: Transaction,
    ids: Sequence[str],
    what: Literal["domain", "project"],
    plan: Renaming,
    *,
    now: datetime,
    actor: str,
) -> None:
    """Give experiences, served or not, the name that belongs to theirs."""
    layout = tokens().layout
    kept = writing.words.tokens(ids, layout)
    reason = f"the {what} '{plan.old}' was renamed to '{plan.new}'"
    for before in writing.experiences.get(ids):
        name = plan.paths[getattr(before, what) or ""]
        after = replace(before, **{what: name}, revision=before.revision + 1, updated_at=now)
        known = IndexedText({}, kept[before.id], layout) if before.id in kept else None
        writing.experiences.put(after, None, indexed_text(after, known))
        writing.history.add(revision_of(RevisionKind.EDIT, before, after, actor, reason))
