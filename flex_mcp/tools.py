"""The seven tools behind every door: arguments that were checked, the library, the answer.

The docstrings are what a model reads; `client` is who calls.
"""

from flex_mcp import answers
from flex_mcp.answers import Answer
from flex_mcp.app import App
from flex_mcp.arguments import (
    CurateArguments,
    DistillArguments,
    GetArguments,
    RecordArguments,
    ReportArguments,
    SaveArguments,
    SearchArguments,
)
from flex_mcp.errors import NotFoundError


def search_experience(app: App, arguments: SearchArguments, client: str) -> Answer:
    """Find lessons from earlier work: call it before you start a task, and again when stuck.

    Give the task itself as query, not keywords. Answers principles, patterns, then instances, \
warnings among them, or nothing_relevant.
    """
    found = app.library.search(
        arguments.query,
        limit=arguments.limit,
        levels=arguments.levels,
        zones=arguments.zones,
        domain=arguments.domain,
        client=client,
    )
    return answers.search_answer(found, arguments.detail)


def get_experience(app: App, arguments: GetArguments, client: str) -> Answer:  # noqa: ARG001
    """Read experiences whole: examples, evidence, counters, history."""
    library, ids = app.library, list(dict.fromkeys(arguments.ids))
    found = library.get(ids)
    missing = [id_ for id_ in ids if id_ not in {one.id for one in found}]
    if not found:
        raise NotFoundError(f"there is no experience {', '.join(missing)}: a search gives ids")
    shown = [answers.experience_answer(one, library.history(one.id)) for one in found]
    return answers.get_answer(shown, missing)


def record_trajectory(app: App, arguments: RecordArguments, client: str) -> Answer:
    """Store what you did for a task and how it ended, failures too: call it when work has ended.

    The same trajectory is stored once.
    """
    recorded = app.library.record(
        arguments,
        lessons=arguments.lessons or (),
        retrieval_ids=arguments.retrieval_ids or (),
        key=arguments.key,
        client=client,
    )
    return answers.record_answer(recorded)


def distill(app: App, arguments: DistillArguments, client: str) -> Answer:  # noqa: ARG001
    """Get a brief to turn recorded trajectories into lessons; answer it with save_lessons."""
    made = app.distiller.distill(arguments.trajectory_ids, limit=arguments.limit)
    return answers.distill_answer(made)


def save_lessons(app: App, arguments: SaveArguments, client: str) -> Answer:
    """Answer a brief: each lesson is added, merged, discarded or supersedes another."""
    library = app.library
    decisions = library.answer_brief(arguments.brief_id, arguments.lessons, client=client)
    return answers.save_answer(arguments.brief_id, decisions, library.remaining())


def report_outcome(app: App, arguments: ReportArguments, client: str) -> Answer:  # noqa: ARG001
    """Say how the task ended that a search served, and which experiences helped or misled."""
    updated = app.library.report(
        arguments.retrieval_id,
        arguments.outcome,
        helpful=arguments.helpful or (),
        harmful=arguments.harmful or (),
    )
    return answers.report_answer(arguments.retrieval_id, updated)


def curate_experience(app: App, arguments: CurateArguments, client: str) -> Answer:
    """Correct one experience: approve, quarantine, retire, restore, edit, revert."""
    library = app.library
    now, revision = library.curate(
        arguments.id,
        arguments.action,
        reason=arguments.reason,
        fields=arguments.fields,
        client=client,
    )
    shown = answers.experience_answer(now, library.history(now.id))
    return answers.curate_answer(shown, answers.revision_answer(revision))
