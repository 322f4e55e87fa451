"""What the resources hold: the library as JSON, everything in it as Markdown for reading.

Text from outside is quoted, as in the tools' answers.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flex_mcp.errors import NotFoundError
from flex_mcp.learning.excerpts import shown, trajectory_text, whole_text
from flex_mcp.models import (
    Experience,
    Filter,
    Level,
    Projects,
    RecordedTrajectory,
    Revision,
    Statistics,
    Status,
    Zone,
)
from flex_mcp.safety.quoting import (
    NATURE,
    all_visible,
    facts,
    named,
    one_line,
    quoted,
    quoted_lesson,
)
from flex_mcp.tools.answers import (
    WHOLE_LIMIT,
    experience_answer,
    experience_text,
    fitting,
    of_project,
    only_in,
    origin_text,
    plain,
    revision_answer,
)

if TYPE_CHECKING:
    from flex_mcp.library.library import Library

LISTED = 100  # experiences on the page of a zone or a domain
CHANGES = 10
DOMAINS = 100  # the largest, on the library's page


class Counted(NamedTuple):
    """The counts of a library and its last changes, of one moment; `content` has both as JSON."""

    counts: Statistics
    last: Sequence[Revision]
    content: dict[str, Any]


def statistics(library: "Library", changes: int, projects: Projects = None) -> Counted:
    """The counts, and so many of the last changes, newest first: of these projects."""
    with library.reading() as reading:
        counts, last = reading.statistics(projects), reading.history.last(changes, projects)
    content = plain(counts) | {
        "library": library.name,
        "last_changes": [
            {"experience_id": one.experience_id} | plain(revision_answer(one)) for one in last
        ],
    }
    return Counted(counts, last, all_visible(content))


def library_page(library: "Library", projects: Projects = None) -> str:
    """Counts by zone, level, domain, project and state, and the last changes, as JSON."""
    content = statistics(library, CHANGES, projects).content
    del content["library"]  # its path is nobody else's business
    domains = Counter[str](content["by_domain"]).most_common()
    content["by_domain"] = dict(domains[:DOMAINS])
    if len(domains) > DOMAINS:
        content["more_domains"] = f"{len(domains) - DOMAINS:,} smaller ones: run flex-mcp stats"
    return json.dumps(content, ensure_ascii=False, indent=2)


def listed(counts: Mapping[str, int], none: str = "(no domain)") -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name or none} {count}" for name, count in ordered) or "-"


def experience_page(library: "Library", id_: str) -> str:
    """One experience whole.

    Raises:
        NotFoundError: it is not here.
    """
    found = library.whole([id_])
    if not found:
        raise NotFoundError(f"there is no experience {named(id_)}: list the resources")
    return f"{NATURE}\n\n{experience_text(experience_answer(found[0]))}"


def trajectory_page(library: "Library", id_: str) -> str:
    """One trajectory whole.

    Raises:
        NotFoundError: it is not here.
    """
    found = library.trajectories([id_])
    if not found:
        raise NotFoundError(f"there is no trajectory {named(id_)}: record_trajectory gives ids")
    text = _whole_trajectory(found[0])
    if len(text) <= WHOLE_LIMIT:
        return text
    note = "Shortened to fit: the file that flex-mcp export writes has it whole."
    return f"{trajectory_text(shown(found[0], WHOLE_LIMIT // 2))}\n{note}"


def _whole_trajectory(one: RecordedTrajectory) -> str:
    known = facts(
        f"Recorded {one.recorded_at.isoformat()}",
        str(one.state),
        f"score {one.score}" if one.score is not None else "",
        f"searches {', '.join(one.retrieval_ids)}" if one.retrieval_ids else "",
    )
    verified = f"verified by {one.verified_by}"
    text = quoted(
        f"### {facts(one.id, one.outcome, verified, one.domain, of_project(one.project))}",
        f"By: {named(one.agent.name)}" if one.agent and one.agent.name else "",
        f"Task: {one.task}",
        whole_text(one),
    )
    return f"{NATURE}\n\n{text}\n{known}"


def zone_page(library: "Library", name: str, projects: Projects = None) -> str:
    """The newest active experiences of a zone, principles first.

    Raises:
        NotFoundError: there is no such zone.
    """
    if name not in set(Zone):
        raise NotFoundError(f"there is no zone {named(name)}: it is one of {', '.join(Zone)}")
    found = library.experiences(
        zones=[Zone(name)], projects=projects, statuses=[Status.ACTIVE], limit=LISTED + 1
    )
    return _list(f"Zone {name}", found)


def domain_page(library: "Library", path: str, projects: Projects = None) -> str:
    """The newest active experiences of a domain and what lies below it, principles first.

    Raises:
        NotFoundError: there is none.
    """
    found = library.experiences(
        domain=path, projects=projects, statuses=[Status.ACTIVE], limit=LISTED + 1
    )
    missing = (
        None if found else library.catalogue.missing_domain(Filter(domain=path, projects=projects))
    )
    if missing:
        raise NotFoundError(missing)
    return _list(f"Domain {one_line(path)}", found)


def _list(heading: str, found: Sequence[Experience]) -> str:
    listed = sorted(found[:LISTED], key=lambda one: [*Level].index(one.level))
    texts = fitting(map(entry, listed)) if found else ["Nothing yet."]
    if len(texts) < len(found):
        texts.append("There are more: search_experience finds them, the list of resources has all.")
    return "\n\n".join([f"# {heading}", NATURE, *texts])


def entry(one: Experience) -> str:
    """One experience among others."""
    about = facts(f"{one.zone} {one.level}", one.domain, only_in(one.project))
    heading = f"**{one_line(one.title)}** ({one.id}) · {about}"
    return quoted_lesson(heading, origin_text(one.origin), when=one.when, lesson=one.lesson)
