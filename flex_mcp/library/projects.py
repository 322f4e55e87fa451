"""Projects: giving one another name, in all that is of it."""

from collections.abc import Sequence
from datetime import datetime

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.recording import HASHED, own_key
from flex_mcp.library.renaming import check_harmless, rename_experiences
from flex_mcp.models import PROJECT_LIMIT, ProjectCount, Renaming, clean_project
from flex_mcp.safety.quoting import named
from flex_mcp.storage.protocol import Transaction
from flex_mcp.validation import ALIKE

NAMED = 5  # projects named in the place of one that is not here
NO_NAMES = {"general", "none", "true", "false"}  # they say something else where a project is named


def names(old: str, new: str) -> tuple[str, str]:
    """The projects that two names mean.

    Raises:
        InputError: one is empty, or the new one is too long, means no project, or reads like
            orders.
    """
    source, target = clean_project(old), clean_project(new)
    if source is None or target is None:
        raise InputError("a project's name cannot be empty: say one such as web-shop")
    if target in NO_NAMES:
        raise InputError(
            f"'{target}' cannot be a project's name: say another one; to make its lessons general: "
            f"`flex-mcp curate --where 'project={named(source)}' edit --general`"
        )
    if len(target) > PROJECT_LIMIT:
        raise InputError(
            f"'{named(target)}' has {len(target)} characters; the limit of a project's name is "
            f"{PROJECT_LIMIT}: say a shorter one"
        )
    check_harmless(target)
    return source, target


def planned(reading: Transaction, source: str, target: str) -> Renaming:
    """What a renaming would change; nothing changes.

    Raises:
        InputError: the new name is the old one.
        NotFoundError: nothing is of the old one.
    """
    counts = {one.project: one for one in reading.projects.counts() if one.project}
    if (one := counts.get(source)) is None:
        raise NotFoundError(f"there is no project {_instead(source, [*counts.values()])}")
    if source == target:
        raise InputError(f"'{named(source)}' is called so already: say another name")
    return Renaming(
        old=source,
        new=target,
        paths={source: target},
        experiences=one.experiences,
        trajectories=one.trajectories,
        merged=target in counts,
    )


def _instead(name: str, counts: Sequence[ProjectCount]) -> str:
    """A name in quotation marks, and which projects there are, near ones first."""
    from difflib import get_close_matches  # late: it is needed where something is wrong

    ordered = sorted(counts, key=lambda one: -(one.experiences + one.trajectories))
    known = [one.project or "" for one in ordered]
    if not known:
        return f"'{named(name)}': nothing here is of one"
    alike = get_close_matches(name[:PROJECT_LIMIT], known, NAMED, ALIKE)
    names = ", ".join(map(named, alike or known[:NAMED]))
    count = f" (of {len(known)})" if len(known) > NAMED else ""
    return f"'{named(name)}': {'near are' if alike else 'there are'} {names}{count}; name one"


def rename(writing: Transaction, plan: Renaming, *, now: datetime, actor: str) -> None:
    """Rename a project; every experience, served or not, gets a revision."""
    ids = writing.projects.experiences(plan.old)
    rename_experiences(writing, ids, "project", plan, now=now, actor=actor)
    # By the key that work has of itself, it is known when it is recorded again.
    keys = {
        id_: own_key(hashed, plan.new)
        for id_, key, hashed in writing.projects.keys(plan.old)
        if key.startswith(HASHED)
    }
    writing.projects.move_trajectories(plan.old, plan.new, keys)
