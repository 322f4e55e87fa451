"""Review: what is worth a look, one thing at a time."""

from flex_mcp.errors import InputError
from flex_mcp.models import Concern, Curation, Suggestion
from flex_mcp.tools.suggestions import WORDS
from flex_mcp.web.pages import Asked, Moved, Shown, with_query
from flex_mcp.web.sessions import Notice
from flex_mcp.web.views import experience
from flex_mcp.web.views.experiences import may, projects_known, projects_of

COMPARED = 500  # lessons that are compared at once, in a second or two
REASON = "by hand, in a review"


def show(asked: Asked) -> Shown:
    """The thing at the address's place, with what can be done about it."""
    library = asked.app.library
    concern = asked.text("concern")
    found = library.suggestions(domain=asked.text("domain"), projects=projects_of(asked))
    items = [one for one in found.found if concern in {None, one.concern}]
    place = min(_place(asked), max(len(items) - 1, 0))
    swapped = asked.text("swap") is not None
    ids = items[place].ids[:: -1 if swapped else 1] if items else ()
    whole = library.whole(ids)
    values = {
        "item": items[place] if items else None,
        "whole": whole,
        "place": place,
        "swapped": swapped,
        "total": len(items),
        "words": WORDS,
        "counts": {one: sum(each.concern is one for each in found.found) for one in Concern},
        "concern": concern or "",
        "uncompared": found.uncompared,
        "projects": projects_known(asked),
        "project": asked.text("project") or "",
        "may_approve": may(asked, Curation.APPROVE),
    }
    return Shown("review.html", values)


def _place(asked: Asked) -> int:
    text = asked.text("place") or "0"
    return int(text) if text.isdecimal() and len(text) < 7 else 0


def _texts(asked: Asked, name: str) -> list[str]:
    """The values of a field that is there several times."""
    return [one for one in asked.form.getlist(name) if isinstance(one, str)]


def change(asked: Asked) -> Moved:
    """Settle one thing, take a dismissal back, or compare what came since."""
    if not asked.session.writes:
        raise InputError("your session may only read: log in with a token that writes")
    try:
        _settle(asked, asked.text("action") or "")
    except InputError as error:  # the thing is shown again, as it is now
        asked.tell(Notice(f"Nothing was changed: {error}", is_error=True))
    return Moved(f"/review{with_query(asked.query, swap=None)}")


def _settle(asked: Asked, action: str) -> None:
    library = asked.app.library
    if action == "compare":
        left = library.find_pairs(COMPARED, client=asked.session.name)
        asked.tell(Notice(f"Compared; {left:,} are left" if left else "All are compared"))
        return
    item = Suggestion(Concern(asked.text("of") or ""), tuple(_texts(asked, "id")))
    if not 0 < len(item.ids) < 3:
        raise InputError("a suggestion is about one lesson or two: load the page anew")
    seen = dict(zip(item.ids, map(experience.number, _texts(asked, "seen")), strict=False))
    if action in {"keep", "take up"}:
        keeps = action == "keep"
        library.dismiss(
            item, seen=seen if keeps else None, undo=not keeps, client=asked.session.name
        )
        undo = {"action": "take up", "of": item.concern, "id": item.ids}
        asked.tell(Notice("Left as it is", "/review", undo if keeps else None))
        return
    curation = Curation(action)
    if not may(asked, curation):
        raise InputError(f"your session may not {curation}: log in with a token that may")
    made = library.curate(
        item.ids[-1],
        curation,
        reason=REASON,
        into=item.ids[0] if curation is Curation.MERGE else None,
        seen=seen,
        client=asked.session.name,
    )
    asked.tell(experience.done(made))
