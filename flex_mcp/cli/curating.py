"""Commands that change experiences: one, several, those of a filter, and merging two."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from flex_mcp.app import App
from flex_mcp.cli.commands import CALLER, asking_options, confirm, main, with_library
from flex_mcp.cli.filters import FILTERS, filter_of
from flex_mcp.cli.identifiers import DOMAIN, ID
from flex_mcp.cli.output import Page, Part, Quote, Table
from flex_mcp.cli.revisions import command, revision_lines, undo
from flex_mcp.errors import InputError
from flex_mcp.models import (
    Curated,
    Curation,
    Experience,
    Fields,
    Filter,
    Level,
    Revision,
    Snapshot,
    Status,
    Zone,
)
from flex_mcp.safety.quoting import facts, one_line, tags_line
from flex_mcp.tools import tools
from flex_mcp.tools.answers import only_in, quoted_whole
from flex_mcp.tools.arguments import CurateArguments
from flex_mcp.validation import checked

if TYPE_CHECKING:
    from flex_mcp.library.lists import WantedExperiences

SHOWN = 20  # experiences of a change of several
UNCHANGED = "nothing was changed"
UNCHANGED_YET = "Nothing was changed: this is a dry run."
Row = tuple[str, Snapshot, str]  # an id, the experience at some moment, and its status


def field_options(title: str, several: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The fields of a lesson; what is said of the first of them, and of those that are lists."""
    options = (
        click.option("--title", help=title),
        click.option("--when"),
        click.option("--lesson"),
        click.option("--example", "examples", multiple=True, help=several),
        click.option("--domain", type=DOMAIN),
        click.option("--project", metavar="NAME", help="The project in which alone it holds."),
        click.option("--general", is_flag=True, help="It holds in every project."),
        click.option("--tag", "tags", multiple=True, help=several),
        click.option("--priority", type=int),
        click.option("--zone", type=click.Choice([*map(str, Zone)])),
        click.option("--level", type=click.Choice([*map(str, Level)])),
    )

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


def given_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The fields that were named; an empty text empties.

    Raises:
        InputError: a project is named, and none.
    """
    if options.pop("general"):
        if options["project"]:
            raise InputError("give --project or --general, only one of them")
        options["project"] = False
    return {name: value for name, value in options.items() if value not in {None, ()}}


def reason_option(function: Callable[..., Any]) -> Callable[..., Any]:
    words = "Kept in the history."
    return click.option("--reason", default="by hand", show_default=True, help=words)(function)


def _complete(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    actions = [CompletionItem(one) for one in Curation if one.startswith(start)]
    return [*ID.shell_complete(ctx, param, start), *actions]


def _check_words(ctx: click.Context, _: click.Parameter, words: Sequence[str]) -> Sequence[str]:
    """Refuse what is neither an id nor an action in its place, before any library is opened."""
    ids, _action = _ids_and_action(words)
    if strange := [word for word in ids if "_" not in word]:
        raise click.UsageError(
            f"{strange[0]!r} is no id, and no action at the end: ids come first, then one of "
            f"{', '.join(Curation)}",
            ctx,
        )
    return words


@main.command(short_help="Approve, retire, restore, edit or revert lessons, one or many.")
@click.argument(
    "words",
    metavar=f"[ID]... [{'|'.join(Curation)}]",
    nargs=-1,
    type=ID,
    shell_complete=_complete,
    callback=_check_words,
)
@click.option(
    "--where",
    metavar="NAME=VALUE",
    multiple=True,
    help=f"Instead of ids, those that `flex-mcp list` would list by {', '.join(FILTERS)}; "
    "repeatable. project=general: those of no project.",
)
@reason_option
@click.option("--into", type=ID, help="For merge: the experience that stays.")
@field_options("For edit and merge, like those below.", "Replaces all; repeatable.")
@click.option(
    "--revision",
    type=int,
    help="For revert: back to before this one. Without it the last change is undone.",
)
@asking_options
@with_library
def curate(
    words: Sequence[str],
    *,
    where: Sequence[str],
    reason: str,
    into: str | None,
    yes: bool,
    dry_run: bool,
    app: App,
    **options: Any,
) -> Page:
    """Approve, quarantine, retire, restore, edit or revert experiences, or merge one.

    approve serves what was held back, quarantine holds back, retire serves no more and keeps,
    restore undoes retire, revert undoes the last change, whatever it was. With new values and no
    action they are edited.

    Several, or those of --where, are listed and asked about first, and change all or none; they can
    be given domain, project, tags, priority, zone and level. Of --where those are left out to which
    the action does not apply.
    """
    ids, action = _ids_and_action(words)
    given = given_fields(options)
    if action is None and not given:
        raise InputError(f"say what to do: one of {', '.join(Curation)}, or new values")
    if bool(ids) == bool(where):
        raise InputError("say which experiences: ids, or --where NAME=VALUE, one of the two")
    asked = asked_for(ids[0] if ids else "", action or Curation.EDIT, reason, into, given)
    if not where and len(ids) == 1:
        return curated_one(app, asked, yes=yes, dry_run=dry_run)
    if asked.into or asked.action is Curation.MERGE:
        raise InputError("merge takes one experience into one: name one id, and --into")
    left_out = 0
    if where:
        from flex_mcp.library.curating import applies

        wanted = filter_of(where, app.project)
        found = app.library.experiences(**wanted)
        if not found:
            return _none(app, wanted, asked.action, dry_run=dry_run)
        fields = asked.fields or Fields()
        ids = [one.id for one in found if applies(one, asked.action, fields)]
        left_out = len(found) - len(ids)
    return _several(app, asked, ids, left_out=left_out, yes=yes, dry_run=dry_run)


@main.command(short_help="Merge one lesson into another.")
@click.argument("experience_id", metavar="ID", type=ID)
@click.argument("into", metavar="INTO", type=ID)
@reason_option
@field_options("Of what stays, like those below.", "Replaces all; repeatable.")
@asking_options
@with_library
def merge(
    experience_id: str,
    into: str,
    *,
    reason: str,
    yes: bool,
    dry_run: bool,
    app: App,
    **options: Any,
) -> Page:
    """Merge the experience ID into another, INTO, which gets its evidence and the new values.

    ID is retired, and names INTO as what took its place. A revert of either takes both back, unless
    one was changed since.
    """
    given = given_fields(options)
    asked = asked_for(experience_id, Curation.MERGE, reason, into, given)
    return curated_one(app, asked, yes=yes, dry_run=dry_run)


def _ids_and_action(words: Sequence[str]) -> tuple[list[str], Curation | None]:
    """The ids, each once, and the action, which is the last word where it is one."""
    action = Curation(words[-1]) if words and words[-1] in {*Curation} else None
    return list(dict.fromkeys(words[:-1] if action else words)), action


def asked_for(
    id_: str, action: Curation, reason: str, into: str | None, given: Mapping[str, Any]
) -> CurateArguments:
    """What is asked for, checked; an empty text stays one, so that it empties.

    Raises:
        InputError: all that is wrong with it.
    """
    fields = Fields(**given) if given else None
    raw = {"id": id_, "action": action, "into": into, "reason": reason, "fields": fields}
    return checked(CurateArguments, raw)


def _none(app: App, wanted: "WantedExperiences", action: Curation, *, dry_run: bool) -> Page:
    near = Filter(domain=wanted.get("domain"), projects=frozenset(wanted.get("projects") or ()))
    missing = app.library.catalogue.missing_domain(near)
    said = f"No experience fits: {missing}." if missing else "No experience fits."
    empty = _content(action, [], 0, dry_run=dry_run)
    return Page(empty | {"notice": missing}, [said])


# One


def curated_one(app: App, asked: CurateArguments, *, yes: bool, dry_run: bool) -> Page:
    """Change one experience; before a merge, at a terminal, both are shown and a yes is asked."""

    def changed(seen: Mapping[str, int] | None = None, *, dry_run: bool = False) -> Curated:
        return app.library.curate(
            asked.id,
            asked.action,
            reason=asked.reason,
            fields=asked.fields,
            into=asked.into,
            seen=seen,
            dry_run=dry_run,
            client=CALLER.name,
        )

    if dry_run:
        plan = changed(dry_run=True)
        content = _content(asked.action, [plan], left_out=0, dry_run=True)
        return Page(content, [*_changes(plan), UNCHANGED_YET])
    if asked.action is Curation.MERGE and not yes and sys.stdin.isatty():
        changed(dry_run=True)  # what is wrong is said before anything is asked
        gone, stays = app.library.get([asked.id, asked.into or ""])
        shown = [*_whole("This one goes:", gone), *_whole("This one stays:", stays)]
        asking = f"Merge {gone.id} into {stays.id}?"
        confirm("\n".join(shown), asking, because="two become one", undone="nothing was merged")
        return curated_page(app, changed({one.id: one.revision for one in (gone, stays)}))
    return curated_page(app, changed())


def _whole(heading: str, one: Experience) -> Iterator[str]:
    """An experience as it is shown to whoever is asked about it."""
    yield heading
    yield quoted_whole(f"{one_line(one.title)} ({one.id})", one, tags_line(one.tags))
    yield facts(f"{one.zone} {one.level}", one.domain, only_in(one.project), str(one.status))


def curated_page(app: App, made: Curated) -> Page:
    """What changed of one experience, and how to take it back."""
    content = tools.curated(app.library, made).content
    parts = [*_changes(made)]
    if made.experience.status is Status.QUARANTINED:
        approve = command("curate", made.experience.id, "approve")
        parts.append(f"It is held back: nobody is served it. {approve} serves it.")
    return Page(content, [*parts, *undo(made.revision)])


def _changes(made: Curated) -> Iterator[Part]:
    for one in filter(None, (made.revision, made.also)):
        heading = f"**{one_line(one.after.title)}** ({one.experience_id})"
        yield Quote(heading, [*revision_lines(one, {})])


# Several


def _several(
    app: App,
    asked: CurateArguments,
    ids: Sequence[str],
    *,
    left_out: int,
    yes: bool,
    dry_run: bool,
) -> Page:
    """Show what would change, ask, and change all of it."""
    from flex_mcp.library.curating import past

    def changed(seen: Mapping[str, int] | None = None) -> list[Curated]:
        return app.library.curate_all(
            ids,
            asked.action,
            reason=asked.reason,
            fields=asked.fields,
            seen=seen,
            dry_run=seen is None,
            client=CALLER.name,
        )

    made = changed()
    before = [_planned(one) for one in _revisions(made)]
    out = [f"Left out, as it does not apply to them: {left_out:,}."] if left_out else []
    parts: list[Part] = [f"{UNCHANGED.capitalize()}.", *out]
    if before:
        would = f"{_count(before)} would be {past(asked.action)}"
        parts = [f"{would}:", *_listed(before), *out]
        if not (yes or dry_run):
            shown = "\n".join(part if isinstance(part, str) else part.text for part in parts)
            confirm(shown, "Go on?", because=would, undone=UNCHANGED)
        if not dry_run:
            made = changed({one.experience.id: one.revision.revision - 1 for one in made})
            after = [
                (one.experience_id, one.after, str(one.after.status)) for one in _revisions(made)
            ]
            told = f"{_count(after)} {past(asked.action)}:"
            parts = [told, *_listed(after), *out, *undo(*(one.revision for one in made))]
    if dry_run and before:
        parts.append(UNCHANGED_YET)
    return Page(_content(asked.action, made, left_out, dry_run=dry_run), parts)


def _planned(one: Revision) -> Row:
    """An experience as it is, with the status that it would get."""
    before = one.before or one.after
    was, would = str(before.status), str(one.after.status)
    return one.experience_id, before, was if was == would else f"{was} → {would}"


def _count(rows: Sequence[Row]) -> str:
    return "1 experience" if len(rows) == 1 else f"{len(rows):,} experiences"


def _revisions(made: Sequence[Curated]) -> Iterator[Revision]:
    for one in made:
        yield from filter(None, (one.revision, one.also))


def _listed(rows: Sequence[Row]) -> Iterator[Part]:
    """The first of some experiences, and how many more there are."""
    cells = [
        (id_, str(one.zone), str(one.level), status, one_line(one.title))
        for id_, one, status in rows[:SHOWN]
    ]
    yield Table(("id", "zone", "level", "status", "title"), cells)
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN:,} more"


def _content(
    action: Curation, made: Sequence[Curated], left_out: int, *, dry_run: bool
) -> dict[str, Any]:
    changed = [
        {
            "id": one.experience_id,
            "revision": one.revision,
            "status": str(one.after.status),
            "title": one.after.title,
        }
        for one in _revisions(made)
    ]
    return {"action": str(action), "changed": changed, "left_out": left_out, "dry_run": dry_run}
