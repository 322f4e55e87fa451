"""Commands with which a person writes lessons: changing one in the editor, and adding one."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import CALLER, main, with_library, with_library_or_new
from flex_mcp.cli.curating import (
    UNCHANGED,
    asked_for,
    curated_page,
    field_options,
    given_fields,
    reason_option,
)
from flex_mcp.cli.editor import read, written
from flex_mcp.cli.identifiers import ID
from flex_mcp.cli.lesson_form import EMPTY, Form, form, values_of_form
from flex_mcp.cli.output import Page, Part, Table
from flex_mcp.cli.revisions import command, undo
from flex_mcp.errors import ChangedError, InputError
from flex_mcp.models import (
    Candidate,
    Curated,
    Curation,
    Decision,
    DecisionKind,
    Experience,
    Fields,
    Lesson,
    Relation,
    Revision,
    Snapshot,
    Status,
)
from flex_mcp.safety.quoting import facts, one_line, quoted
from flex_mcp.tools.answers import only_in, plain
from flex_mcp.tools.arguments import CurateArguments
from flex_mcp.validation import checked

TO_EDIT = "Change what you like, save and close. Saved as it is, nothing changes."
TO_ADD = "Write the lesson, save and close. Saved as it is, nothing is added."
file_option = click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="Take the text from this file, as the editor has it, and open none.",
)


@main.command(short_help="Edit a lesson in your editor.")
@click.argument("experience_id", metavar="ID", type=ID)
@reason_option
@file_option
@with_library
def edit(experience_id: str, *, reason: str, file: Path | None, app: App) -> Page:
    """Edit an experience in your editor ($VISUAL, $EDITOR), with all its fields.

    Saved unchanged, nothing changes. A text that is refused is kept in a file, whose path is said.
    """
    made = edited(app, experience_id, reason, file)
    if made is None:
        return Page({"id": experience_id, "changed": False}, [f"{UNCHANGED.capitalize()}."])
    return curated_page(app, made)


def edited(app: App, experience_id: str, reason: str, file: Path | None = None) -> Curated | None:
    """Change an experience as a person writes it anew; None where nothing was changed.

    Raises:
        InputError: all that is wrong with the text, or the experience was changed since.
    """
    asked = asked_for(experience_id, Curation.EDIT, reason, None, {})
    seen = app.library.get(experience_id)
    start = form(TO_EDIT, values_of_form(seen), seen.revision)
    take = partial(_taken, app, asked, seen)
    if file:
        return take(read(file))
    instead = f"`flex-mcp curate {seen.id} edit --title …` changes a field"
    return written(start, take, again=("edit", seen.id), instead=instead)


def _taken(app: App, asked: CurateArguments, seen: Experience, text: str) -> Curated | None:
    """Change the fields that a person wrote anew, since the revision that the form was made of."""
    written = Form(text)
    now, base = _fields_of(seen), _fields_of(_at(app, seen, written.revision))
    given = {name: value for name, value in written.fields.items() if value != base.get(name)}
    if not text.strip() or not (given or written.wrong):
        return None
    both = [name for name in given if now[name] not in (base[name], given[name])]
    if both:
        raise ChangedError(
            f"{seen.id} was changed since, in {', '.join(both)} too: look at it with "
            f'{command("show", seen.id)}, and write "of revision {seen.revision}" in your text '
            "where yours shall stand"
        )
    return app.library.curate(
        asked.id,
        asked.action,
        reason=asked.reason,
        fields=written.checked(Fields, Fields(**given)),
        seen=seen.revision,
        client=CALLER.name,
    )


def _fields_of(one: Snapshot) -> Mapping[str, Any]:
    """What a form of it holds, as it is read back."""
    return Form(form(TO_EDIT, values_of_form(one))).fields


def _at(app: App, one: Experience, revision: int | None) -> Snapshot:
    """An experience as it was with a revision; without one, or where that is gone, as it is."""
    history = app.library.history(one.id) if revision not in {None, one.revision} else []
    return next((each.after for each in history if each.revision == revision), one)


@main.command(short_help="Add a lesson that you know.")
@field_options("In a few words. Without any of these it is written in your editor.", "Repeatable.")
@file_option
@with_library_or_new
def add(*, file: Path | None, app: App, **options: Any) -> Page:
    """Add a lesson that you know, by options or in your editor ($VISUAL, $EDITOR).

    It needs a title, the lesson, a zone (golden: do this; warning: avoid this; mixed) and a level
    (principle, the most general; pattern; instance, one case). The answer says what is like it.
    """
    given = given_fields(options)
    priority = given.pop("priority", None)
    if file and (given or priority is not None):
        raise InputError("give --file, or the lesson by options, only one of them")
    if given or priority is not None:
        return _added(app, checked(Lesson, {"when": ""} | given), priority)
    start = form(TO_ADD, EMPTY)
    take = partial(_added_by_form, app, start)
    if file:
        return take(read(file))
    instead = "give --title, --lesson, --zone and --level"
    return written(start, take, again=("add",), instead=instead)


def _added_by_form(app: App, start: str, text: str) -> Page:
    """Add the lesson that a person wrote.

    Raises:
        InputError: all that is wrong with it.
    """
    if not text.strip() or text == start:
        return Page({"decision": None}, ["Nothing was added."])
    written = Form(text)
    fields = Fields(priority=written.fields.pop("priority", None) or None)
    try:
        fields = checked(Fields, fields)
    except InputError as error:
        written.wrong.append(str(error))
    lesson = written.checked(Lesson, {"when": ""} | written.fields)
    return _added(app, lesson, fields.priority)


def _added(app: App, lesson: Lesson, priority: int | None) -> Page:
    """Place a lesson of a person's, and say what became of it."""
    decision = app.library.add(
        lesson, project=app.project, typed=True, priority=priority, client=CALLER.name
    )
    (found,) = app.library.whole([decision.experience_id or ""])
    parts = _decided(decision, found.experience, found.history[-1:])
    return Page({"decision": plain(decision)}, parts)


def _decided(decision: Decision, now: Experience, history: Sequence[Revision]) -> list[Part]:
    """What became of a lesson, what is like it, and what may be done next."""
    is_new = decision.decision is DecisionKind.ADD
    about = facts(f"{now.zone} {now.level}", now.domain, only_in(now.project) or "in every project")
    parts: list[Part] = [
        f"Added: {now.id} ({about})" if is_new else f"Not added: {now.id} says it already",
    ]
    parts += [quoted("Note:", one_line(decision.reason))] if decision.reason else []
    rows = [
        (str(one.relation), one.id, f"{one.zone} {one.level}", one_line(one.title))
        for one in decision.candidates
    ]
    if rows:
        parts += ["Like it:", Table(("what it is", "id", "", "title"), rows)]
        parts.append(_next(now.id, decision.candidates[0]))
    if now.status is Status.QUARANTINED:
        parts.append(f"It is held back. {command('curate', now.id, 'approve')} serves it.")
    parts.append(f"See it: {command('show', now.id)}")
    return [*parts, *undo(*history)] if is_new else parts


def _next(id_: str, near: Candidate) -> str:
    """What may be done about the likest one."""
    if near.relation is Relation.CONTRADICTS:
        return f"Look which of them holds, and edit the other: {command('show', id_, near.id)}"
    return f"Where both say the same, merge them: {command('merge', id_, near.id)}"
