"""Review: what is worth a look, one thing at a time."""

from flex_mcp.errors import InputError
from flex_mcp.models import Concern, Curation, Suggestion
from flex_mcp.tools.suggestions import WORDS
from flex_mcp.web.pages import Asked, Moved, Shown
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
    whole = library.whole(items[place].ids) if items else []
    values = {
        "item": items[place] if items else None,
        "whole": whole,
        "place": place,
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


def change(asked: Asked) -> Moved:
    """Settle one thing, take a dismissal back, or compare what came since."""
    action, library = asked.text("action"), asked.app.library
    if not asked.session.writes:
        raise InputError("your session may only read: log in with a token that writes")
    if action == "compare":
        left = library.find_pairs(COMPARED, client=asked.session.name)
        asked.tell(Notice(f"Compared; {left:,} are left" if left else "All are compared"))
        return _back(asked)
    item = Suggestion(
        Concern(asked.text("of") or ""), tuple(str(one) for one in asked.form.getlist("id"))
    )
    if not 0 < len(item.ids) < 3:
        raise InputError("a suggestion is about one lesson or two: load the page anew")
    if action in {"keep", "take up"}:
        library.dismiss(item, undo=action != "keep", client=asked.session.name)
        undo = {"action": "take up", "of": item.concern, "id": item.ids}
        asked.tell(Notice("Left as it is", "/review", undo if action == "keep" else None))
        return _back(asked)
    curation = Curation(action or "")
    if not may(asked, curation):
        raise InputError(f"your session may not {curation}: log in with a token that may")
    made = library.curate(
        item.ids[-1],
        curation,
        reason=REASON,
        into=item.ids[0] if curation is Curation.MERGE else None,
        seen=experience.number(asked.text("seen")),
        client=asked.session.name,
    )
    asked.tell(experience.done(made))
    return _back(asked)


def _back(asked: Asked) -> Moved:
    return Moved(f"/review?{asked.query}" if asked.query else "/review")
