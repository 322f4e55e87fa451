"""One experience: as it is served, what it stems from, its history; and every change of it."""

from collections.abc import Mapping

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.models import (
    Curated,
    Curation,
    Experience,
    Fields,
    Level,
    Revision,
    Status,
    WholeExperience,
    Zone,
)
from flex_mcp.safety.quoting import named
from flex_mcp.tools.changes import changes
from flex_mcp.web.pages import Asked, Moved, Shown
from flex_mcp.web.sessions import Notice

NEIGHBOURS = 5
DIGITS = 10
TEXTS = "title", "when", "lesson", "domain", "project"
LISTS = "examples", "tags"
POSSIBLE = {
    Status.ACTIVE: [Curation.RETIRE, Curation.QUARANTINE],
    Status.QUARANTINED: [Curation.APPROVE, Curation.RETIRE],
    Status.RETIRED: [Curation.RESTORE],
}


def show(asked: Asked) -> Shown:
    return _page(asked, _whole(asked))


def _whole(asked: Asked) -> WholeExperience:
    id_ = asked.path["id"]
    found = asked.app.library.whole([id_])
    if not found:
        raise NotFoundError(f"there is no experience {named(id_)}: the list has those there are")
    return found[0]


def _page(
    asked: Asked, found: WholeExperience, draft: Mapping[str, str] | None = None, status: int = 200
) -> Shown:
    library, one = asked.app.library, found.experience
    near = [each for each in library.neighbours([one.text], limit=NEIGHBOURS + 1) if each != one]
    sources = [each.trajectory_id for each in found.history if each.trajectory_id]
    values = {
        "one": one,
        "whole": found,
        "history": [_Revision(each) for each in reversed(found.history)],
        "neighbours": near[:NEIGHBOURS],
        "names": library.catalogue.names({*one.evidence, *sources}),
        "actions": [each for each in POSSIBLE[one.status] if _may(asked, each)],
        "draft": draft,
        "fields": draft or _fields(one),
        "edits": asked.text("edit") is not None or draft is not None,
        "zones": [*Zone],
        "levels": [*Level],
    }
    return Shown("experience.html", values, status)


class _Revision:
    """A revision with what it changed."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.changes = changes(revision)


def _fields(one: Experience) -> dict[str, str]:
    texts = {name: getattr(one, name) or "" for name in TEXTS}
    lists = {name: "\n".join(getattr(one, name)) for name in LISTS}
    words = {"zone": str(one.zone), "level": str(one.level), "priority": str(one.priority)}
    return {**texts, **lists, **words, "seen": str(one.revision)}


def _may(asked: Asked, action: Curation) -> bool:
    return asked.session.curates if action is Curation.APPROVE else asked.session.writes


def change(asked: Asked) -> Shown | Moved:
    """Do what the form says, as the tools would, and offer the way back."""
    action, found = Curation(asked.text("action") or ""), _whole(asked)
    one = found.experience
    if not _may(asked, action):
        raise InputError(f"your session may not {action}: log in with a token that may")
    edited = action is Curation.EDIT
    draft = {name: str(asked.form.get(name, "")) for name in _fields(one)} if edited else None
    fields = _edited(draft) if draft else _revision(asked)
    held = asked.app.library.needs_consent(one.id, action, fields)
    if held and not asked.session.curates:
        raise InputError("that would serve what is held back: only who may curate does that")
    try:
        made = asked.app.library.curate(
            one.id,
            action,
            reason=asked.text("reason") or "by hand, on the page",
            fields=fields,
            into=asked.text("into"),
            seen=_number(asked, "seen"),
            client=asked.session.name,
        )
    except InputError as error:  # what was written is shown again
        if draft is None:
            raise
        asked.tell(Notice(f"Nothing was saved: {error}", is_error=True))
        return _page(asked, _whole(asked), draft, 409)
    asked.tell(done(made))
    return Moved(f"/experiences/{made.experience.id}")


def done(made: Curated) -> Notice:
    """What was done, and the way back."""
    id_, revision = made.experience.id, made.revision
    undo = {
        "action": Curation.REVERT,
        "revision": revision.revision,
        "seen": made.experience.revision,
    }
    return Notice(f"{revision.kind}: {made.experience.title}", f"/experiences/{id_}", undo)


def _edited(draft: Mapping[str, str]) -> Fields:
    """What the form holds; an empty field empties."""
    return Fields(
        zone=Zone(draft["zone"]),
        level=Level(draft["level"]),
        title=draft["title"].strip(),
        when=draft["when"].strip(),
        lesson=draft["lesson"].strip(),
        examples=_lines(draft["examples"]),
        domain=draft["domain"].strip(),
        project=draft["project"].strip() or False,
        tags=_lines(draft["tags"]),
        priority=number(draft["priority"].strip()),
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.splitlines())))


def _revision(asked: Asked) -> Fields | None:
    revision = _number(asked, "revision")
    return None if revision is None else Fields(revision=revision)


def _number(asked: Asked, name: str) -> int | None:
    text = asked.text(name)
    return None if text is None else number(text)


def number(text: str) -> int:
    """A number of a form.

    Raises:
        InputError: it is none.
    """
    if not (text.isdecimal() and len(text) < DIGITS):
        raise InputError(f"'{named(text)}' is no number")
    return int(text)
