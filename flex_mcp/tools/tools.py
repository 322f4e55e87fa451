"""The seven tools behind every door: arguments that were checked, the library, the answer.

The docstrings are what a model reads.
"""

import shlex
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from flex_mcp.app import App
from flex_mcp.errors import NotFoundError
from flex_mcp.learning.briefing import SaveArguments
from flex_mcp.learning.llm import LLM
from flex_mcp.models import Curated, VerifiedBy, Wanted, with_general
from flex_mcp.safety.quoting import one_line
from flex_mcp.safety.redaction import redact
from flex_mcp.settings import Distilling, Settings
from flex_mcp.tools import answers, consent
from flex_mcp.tools.answers import Answer
from flex_mcp.tools.arguments import (
    CurateArguments,
    DistillArguments,
    GetArguments,
    RecordArguments,
    ReportArguments,
    SearchArguments,
)
from flex_mcp.tools.consent import Person
from flex_mcp.validation import glances

if TYPE_CHECKING:
    from flex_mcp.library.library import Library

STDIO = "stdio"  # the session of a process that one client started
MAX_NAME = 200  # characters of a client's name: each write is logged with it


class Lent(LLM, Protocol):
    """The caller's own model; `brief_id` names the brief whose reply comes with this call."""

    @property
    def brief_id(self) -> str | None: ...


class Caller(NamedTuple):
    """Who calls, in which session and project, the model that it lends, and who must agree.

    Where a person calls nobody must. A session is a client's connection, where there is one; where
    there is none, as in the stateless era, a name stands for it, and it does not `last`.
    """

    name: str
    session: str | None = None
    lasts: bool = False
    project: str | None = None
    model: Lent | None = None
    person: Person | None = None


@lru_cache
def caller_name(name: str) -> str:
    """A client's name, version and all, as it is kept with all that it does."""
    return redact(one_line(name)[:MAX_NAME])[0]


def search_experience(app: App, arguments: SearchArguments, caller: Caller) -> Answer:
    """Find lessons from earlier work: call it before you start a task, and again when stuck.

    Give the task itself as query, not keywords. Answers the few lessons that fit, best first, or \
nothing_relevant.
    """
    found = app.library.search(
        arguments.query,
        limit=arguments.limit,
        levels=arguments.levels,
        zones=arguments.zones,
        domain=arguments.domain,
        project=arguments.project or caller.project,
        all_projects=arguments.all_projects,
        session=caller.session,
        client=caller.name,
    )
    waiting = 0
    if caller.session and caller.lasts:
        waiting = app.library.waiting(caller.session, with_general(caller.project))
    return answers.search_answer(found, arguments.detail, waiting)


def get_experience(app: App, arguments: GetArguments, caller: Caller) -> Answer:  # noqa: ARG001
    """Read experiences whole: examples, evidence, counters, history."""
    library, ids = app.library, list(dict.fromkeys(arguments.ids))
    found = library.whole(ids)
    missing = [id_ for id_ in ids if id_ not in {one.experience.id for one in found}]
    if not found:
        raise NotFoundError(f"there is no experience {glances(missing)}: a search gives ids")
    room = (answers.DETAILED_LIMIT - 250 * len(missing)) // len(found)
    shown = [answers.experience_answer(one, room, answers.length) for one in found]
    return answers.get_answer(shown, missing)


def record_trajectory(app: App, arguments: RecordArguments, caller: Caller) -> Answer:
    """Store what you did for a task, how it ended and the lessons it taught, failures too.

    Call it when work has ended. The same is stored once; with its key it may tell a later outcome.
    """
    recorded = app.library.record(
        replace(arguments, project=arguments.project or caller.project),
        lessons=arguments.lessons or (),
        retrieval_ids=arguments.retrieval_ids or (),
        helpful=arguments.helpful or (),
        harmful=arguments.harmful or (),
        key=arguments.key,
        session=caller.session,
        client=caller.name,
    )
    return answers.record_answer(recorded)


def distill(app: App, arguments: DistillArguments, caller: Caller) -> Answer:
    """Turn recorded trajectories into lessons.

    Where no other model does it you get a brief: answer it with save_lessons.
    """
    projects = with_general(arguments.project or caller.project)
    wanted = Wanted(ids=arguments.trajectory_ids, limit=arguments.limit, projects=projects)
    distiller, lent = app.distiller, caller.model
    if lent is not None and lent.brief_id is not None:
        made = distiller.resume(lent.brief_id, lent, wanted, client=caller.name)
    else:
        made = distiller.distill(wanted, client=caller.name, lent=lent)
    made = replace(made, remaining=app.library.briefs.remaining(projects))
    unlent = lent is None and app.settings.road is Distilling.SAMPLING
    if unlent and made.brief_id is not None:
        made = replace(made, notice="your client does not lend its model, so this is a brief")
    return answers.distill_answer(made)


def save_lessons(app: App, arguments: SaveArguments, caller: Caller) -> Answer:
    """Keep lessons: the answer to a brief, or what you know without one.

    Each is added, merged, discarded or supersedes another.
    """
    library, brief_id = app.library, arguments.brief_id
    if brief_id:
        decisions = library.briefs.answer(
            brief_id, arguments.lessons, project=caller.project, client=caller.name
        )
    else:
        decisions = library.apply(
            arguments.lessons,
            evidence=arguments.trajectory_ids or (),
            project=caller.project,
            typed=caller.person is None,
            client=caller.name,
        )
    remaining = library.briefs.remaining(with_general(caller.project))
    return answers.save_answer(brief_id, decisions, remaining)


def report_outcome(app: App, arguments: ReportArguments, caller: Caller) -> Answer:
    """Say later how work ended, by its trajectory or a search, and what helped or misled."""
    library, named = app.library, (arguments.helpful or (), arguments.harmful or ())
    if arguments.retrieval_id is not None:
        updated = library.report(
            arguments.retrieval_id,
            arguments.outcome,
            helpful=named[0],
            harmful=named[1],
            client=caller.name,
        )
        return answers.report_answer(arguments.retrieval_id, updated)
    reported = library.report_trajectory(
        arguments.trajectory or "",
        arguments.outcome,
        score=arguments.score,
        feedback=arguments.feedback,
        verified_by=arguments.verified_by or VerifiedBy.NONE,
        helpful=named[0],
        harmful=named[1],
        client=caller.name,
    )
    return answers.late_outcome_answer(reported)


def curate_experience(app: App, arguments: CurateArguments, caller: Caller) -> Answer:
    """Correct one experience: approve, quarantine, retire, restore, edit, revert, merge."""
    library, fields = app.library, arguments.fields
    if fields and fields.project is True:
        fields = replace(fields, project=caller.project or True)
    reason, seen = arguments.reason, None
    held = library.needs_consent(arguments.id, arguments.action, fields)
    if held and caller.person:
        history = library.history(arguments.id)
        caller.person.agree(consent.consent(held, arguments, history, _at(app.settings)))
        reason, seen = f"{reason} (a person said yes)", held.revision
    made = library.curate(
        arguments.id,
        arguments.action,
        reason=reason,
        fields=fields,
        into=arguments.into,
        seen=seen,
        client=caller.name,
    )
    return curated(library, made)


def curated(library: "Library", made: Curated) -> Answer:
    """What became of an experience, as it is now."""
    (now,) = library.whole([made.experience.id])
    shown = answers.experience_answer(now, answers.DETAILED_LIMIT // 2, answers.length)
    return answers.curate_answer(shown, made.revision, made.also)


def _at(settings: Settings) -> str:
    """The option that names the library to a command; nothing for the usual one."""
    if settings.library == Settings().library:
        return ""
    return f" --library {shlex.quote(str(settings.library))}"
