"""The command that goes through what is worth a look, one thing at a time."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import (
    CALLER,
    is_typed,
    main,
    progress_bar,
    project_options,
    projects_of,
    say,
    with_library,
)
from flex_mcp.cli.identifiers import DOMAIN, short
from flex_mcp.cli.lessons import edited
from flex_mcp.cli.output import Page, Part, Table, is_terminal, print_page
from flex_mcp.errors import FlexError, InputError
from flex_mcp.models import (
    Concern,
    Curated,
    Curation,
    Experience,
    Fields,
    Revision,
    Status,
    Suggestion,
    Suggestions,
    WholeExperience,
    with_general,
)
from flex_mcp.safety.quoting import facts, one_line, quoted, tags_line
from flex_mcp.tools.answers import counted, only_in, quoted_whole
from flex_mcp.tools.suggestions import WORDS, uncompared_note

REASON = "by hand, in a review"
NOTHING = "Nothing needs a look."
CHANGES = {"a": Curation.APPROVE, "m": Curation.MERGE, "r": Curation.RETIRE}  # by key


class Done(NamedTuple):
    """What was done at a place, nothing where it was skipped, and what takes it back."""

    place: int
    what: str
    undo: Callable[[], object]


@main.command()
@click.option("--domain", type=DOMAIN, help="Only this path and what lies below it.")
@click.option(
    "--concern",
    "concerns",
    multiple=True,
    type=click.Choice([*map(str, Concern)]),
    help="Only these; repeatable.",
)
@click.option("--list", "listed", is_flag=True, help="List them, and ask nothing.")
@project_options
@with_library
def review(
    *, domain: str | None, concerns: Sequence[str], listed: bool, app: App, **projects: Any
) -> Page:
    """Go through what is worth a look, one thing at a time.

    Lessons that are held back; two that say the opposite (contradicts), the same in the same words
    (same), or the same in others (near); what was named harmful; what was served ten times and
    never named helpful, where others are; what no search found. At a terminal it asks what to do
    with each; elsewhere it lists them.
    """
    chosen = projects_of(projects, with_general(app.project))
    with progress_bar("Comparing") as progress:
        app.library.find_pairs(client=CALLER.name, progress=progress)
    found = app.library.suggestions(domain=domain, projects=chosen)
    kept = [one for one in found.found if not concerns or one.concern in concerns]
    as_json = click.get_current_context().params["as_json"]
    if kept and not listed and not as_json and is_typed() and is_terminal():
        return _Review(app, kept).run()
    return _listed(app, kept, found)


def _listed(app: App, kept: Sequence[Suggestion], found: Suggestions) -> Page:
    names = app.library.catalogue.names({id_ for one in kept for id_ in one.ids})
    titles = [[names.get(id_, "") for id_ in one.ids] for one in kept]
    content = {
        "suggestions": [
            {
                "concern": str(one.concern),
                "experiences": [
                    {"id": id_, "title": title} for id_, title in zip(one.ids, told, strict=True)
                ],
            }
            for one, told in zip(kept, titles, strict=True)
        ],
        "total": len(kept),
        "uncompared": found.uncompared,
    }
    rows = [
        (
            str(one.concern).replace("_", " "),
            one.ids,
            tuple(map(short, told)),
        )
        for one, told in zip(kept, titles, strict=True)
    ]
    table = Table(("why", "id", "title"), rows)
    note = uncompared_note(found.uncompared)
    if note and app.library.read_only:
        note = "the library cannot be written, so pairs are not looked for in all of it"
    others = len(found.found) - len(kept)
    none = f"Nothing of that kind; {others:,} others need a look." if others else NOTHING
    return Page(content, [table if rows else none], note)


@dataclass(slots=True)
class _Review:
    """A review at a terminal: where it stands, and how what was done is taken back."""

    app: App
    items: list[Suggestion]
    place: int = 0
    done: list[Done] = field(default_factory=list[Done])

    def run(self) -> Page:
        """Ask about each, until all were seen or the person has enough."""
        while self.place < len(self.items) or self._is_taken_back():
            if (whole := self._whole()) is None:
                self.place += 1  # it was settled with another one, or by somebody else
                continue
            print_page(Page({}, [*_shown(self._where(), self.items[self.place], whole)]))
            if not self._answer([one.experience for one in whole]):
                break
        settled = [one.what for one in self.done if one.what]
        skipped, left = len(self.done) - len(settled), len(self.items) - self.place
        counts = (len(settled), "settled"), (skipped, "skipped"), (left, "left")
        said = ", ".join(f"{count} {what}" for count, what in counts if count) or "Nothing was done"
        return Page({"settled": settled, "skipped": skipped, "left": left}, ["", f"{said}."])

    def _is_taken_back(self) -> bool:
        """Whether, after the last thing, a person takes what they did back."""
        while self.done and self.place == len(self.items):
            print_page(Page({}, ["", "That was all. `z` undo · `q` quit"]))
            if _key("zq") != "z":
                return False
            try:
                self._undo()
            except FlexError as error:
                say(str(error))
        return self.place < len(self.items)

    def _where(self) -> str:
        return f"{self.place + 1} of {len(self.items)}"

    def _whole(self) -> list[WholeExperience] | None:
        """What the suggestion is about; None where it no longer stands so."""
        item = self.items[self.place]
        whole = self.app.library.whole(item.ids)
        held = item.concern is Concern.QUARANTINED
        wanted = Status.QUARANTINED if held else Status.ACTIVE
        stands = all(one.experience.status is wanted for one in whole)
        return whole if len(whole) == len(item.ids) and stands else None

    def _answer(self, ones: Sequence[Experience]) -> bool:
        """Do what a key says; False ends the review."""
        known = _keys(self.items[self.place])
        while (key := _key(known)) not in known:
            say(f"type one of {', '.join(known)}, and Enter")
        seen = {one.id: one.revision for one in ones}
        try:
            self._do(key, ones, seen)
        except FlexError as error:
            say(str(error))
        return key != "q"

    def _do(self, key: str, ones: Sequence[Experience], seen: Mapping[str, int]) -> None:
        match key:
            case "x":
                item = self.items[self.place]
                self.items[self.place] = replace(item, ids=item.ids[::-1])
            case "s":
                self._next("", lambda: None)
            case "z":
                self._undo()
            case "k":
                self._dismiss(self.items[self.place], seen)
            case "q":
                pass
            case _:
                self._change(key, ones[-1], ones[0], seen)

    def _dismiss(self, item: Suggestion, seen: Mapping[str, int]) -> None:
        dismiss = functools.partial(self.app.library.dismiss, item, client=CALLER.name)
        dismiss(seen=seen)
        self._next(f"{' and '.join(item.ids)} left as they are", lambda: dismiss(undo=True))

    def _change(
        self, key: str, one: Experience, other: Experience, seen: Mapping[str, int]
    ) -> None:
        if key == "e":
            made = edited(self.app, one.id, REASON)
            done = f"edit {one.id}"
        else:
            action = CHANGES[key]
            into = other.id if action is Curation.MERGE else None
            made = self._curate(one.id, action, into=into, seen=seen)
            done = f"{action} {one.id}" + (f" into {into}" if into else "")
        if made is None:
            say("nothing was changed")
            return
        id_, revision = made.experience.id, Fields(revision=made.revision.revision)
        now = {each.experience_id: each.revision for each in (made.revision, made.also) if each}
        undo = functools.partial(self._curate, id_, Curation.REVERT, fields=revision, seen=now)
        self._next(done, undo)

    def _curate(self, id_: str, action: Curation, **more: Any) -> Curated:
        library = self.app.library
        return library.curate(id_, action, reason=REASON, client=CALLER.name, **more)

    def _next(self, what: str, undo: Callable[[], object]) -> None:
        if what:
            say(f"{what}: `z` takes it back")
        self.done.append(Done(self.place, what, undo))
        self.place += 1

    def _undo(self) -> None:
        if not self.done:
            raise InputError("nothing was done yet that could be taken back")
        last = self.done[-1]
        last.undo()
        self.done.pop()
        self.place = last.place
        if last.what:
            say(f"taken back: {last.what}")


def _key(known: Iterable[str]) -> str:
    """A letter and Enter: so what was typed too early is not lost."""
    try:
        return click.prompt(f"[{','.join(known)}]", default="", show_default=False).strip().lower()
    except click.Abort:
        return "q"


def _keys(item: Suggestion) -> dict[str, str]:
    """What each key does here; where there are two, they are about the second."""
    both = len(item.ids) > 1
    second = " 2" if both else ""
    keys: dict[str, str] = {}
    if item.concern is Concern.QUARANTINED:
        keys["a"] = "approve: serve it"
    if both:
        keys |= {"m": "merge 2 into 1", "x": "exchange 1 and 2"}
    keys |= {"r": f"retire{second}", "e": f"edit{second}"}
    if item.concern is not Concern.QUARANTINED:
        keys["k"] = "keep both" if both else "keep it so"
    return keys | {"s": "skip", "z": "undo", "q": "quit"}


def _shown(where: str, item: Suggestion, whole: Sequence[WholeExperience]) -> Iterator[Part]:
    heading = f"{'They' if len(whole) > 1 else 'It'} {WORDS[item.concern]}"
    yield ""
    yield f"**{where}** {heading}"
    for number, one in enumerate(whole, start=1):
        yield ""
        yield from _experience(one, f"**{number}** " if len(whole) > 1 else "")
    yield ""
    yield " · ".join(f"`{key}` {what}" for key, what in _keys(item).items())


def _experience(found: WholeExperience, number: str) -> Iterator[Part]:
    one = found.experience
    heading = f"{number}**{one_line(one.title)}** ({one.id})"
    yield quoted_whole(heading, one, tags_line(one.tags))
    yield facts(f"{one.zone} {one.level}", one.domain, only_in(one.project))
    yield counted(one)
    if one.status is Status.QUARANTINED:
        reasons = [each.reason or "nobody said" for each in found.history if _withheld(each)]
        yield quoted("Why it is held back:", *reasons)


def _withheld(one: Revision) -> bool:
    was = one.before and one.before.status
    return one.after.status is Status.QUARANTINED and was is not Status.QUARANTINED
