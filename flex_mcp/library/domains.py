"""Domains: what is said of one that is not here, and renaming one with all that lies below it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.renaming import check_harmless, rename_experiences
from flex_mcp.models import (
    DOMAIN_LIMIT,
    DomainCount,
    ExperienceFilter,
    Filter,
    Renaming,
    Status,
    clean_domain,
)
from flex_mcp.safety.quoting import named
from flex_mcp.storage.protocol import Transaction
from flex_mcp.validation import ALIKE

NAMED = 5  # domains named in the place of one that is not here
MANY = 1_000  # domains that a new one is compared with


def missing(reading: Transaction, wanted: Filter) -> str | None:
    """What to say of the filter's domain where nothing in it is served; None where something is.

    What the filter says of zones and levels is left aside.
    """
    path = wanted.domain or ""
    counts = reading.domains.counts(replace(wanted, domain=None, zones=None, levels=None))
    here = [one for one in counts if _is_inside(one.domain, path)]
    if any(one.active for one in here):
        return None
    everywhere = reading.domains.counts(Filter(domain=path))
    if not here and everywhere:
        others = "is of other projects alone: ask for all of them, or leave it out"
        return f"the domain '{named(path)}' {others}"
    what = "nothing active is in the domain" if here else "there is no domain"
    return f"{what} {_instead(path, counts, 'take one of them, or none')}"


def _instead(path: str, counts: Sequence[DomainCount], advice: str) -> str:
    """A path in quotation marks, which domains there are, near ones first, and what to do."""
    used = sorted((one for one in counts if one.active), key=lambda one: -one.active)
    known = [one.domain for one in used]
    told = among(path, known, "no active lesson here has a domain")
    return f"{told}; {advice}" if known else told


def among(name: str, known: Sequence[str], none: str) -> str:
    """A name that is not here in quotation marks, and which there are, near ones first; or none."""
    if not known:
        return f"'{named(name)}': {none}"
    alike = near(name, known)[:NAMED]
    which = "near are" if alike else "there are"
    names = ", ".join(map(named, alike or known[:NAMED]))
    count = f" (of {len(known)})" if len(known) > NAMED else ""
    return f"'{named(name)}': {which} {names}{count}"


def near(path: str, known: Sequence[str]) -> list[str]:
    """Those of the paths with a segment of this one, or one spelt nearly so, the likest first."""
    from difflib import get_close_matches  # late: it is needed where something is wrong

    segments = {one: set(_segments(one)) for one in known}
    said = set(_segments(path[:DOMAIN_LIMIT]))
    spelt = sorted({part for parts in segments.values() for part in parts})
    alike = {close for one in said for close in get_close_matches(one, spelt, cutoff=ALIKE)}

    def likeness(one: str) -> tuple[int, int, int]:
        parts = segments[one]
        return -len(parts & said), -len(parts & alike), len(parts)

    return sorted((one for one in known if segments[one] & (said | alike)), key=likeness)


def stray(reading: Transaction, experience_id: str) -> str | None:
    """What to say of a new experience whose domain is new, though one stands in another place.

    As docker does beside devops/docker, and the other way round; None where nothing is to be said.
    """
    (one,) = reading.experiences.get([experience_id])
    path, active = one.domain, frozenset({Status.ACTIVE})
    if path is None:
        return None
    inside = reading.experiences.ids(ExperienceFilter(domain=path, statuses=active), limit=2)
    if inside != [experience_id]:
        return None
    around = frozenset({None, one.project})
    for other in reading.domains.most_used(Filter(projects=around), MANY):
        if other.endswith(f"/{path}") or path.endswith(f"/{other}"):
            return (
                f"its domain '{named(path)}' is new, and '{named(other)}' is here: if that is what "
                "is meant, edit it (curate_experience)"
            )
    return None


def _segments(path: str) -> list[str]:
    return (clean_domain(path) or "").split("/")


def _is_inside(path: str, domain: str) -> bool:
    return f"{path}/".startswith(f"{domain}/")


def names(old: str, new: str) -> tuple[str, str]:
    """The paths that two names mean.

    Raises:
        InputError: one is empty, or the new one lies below the old one or reads like orders.
    """
    source, target = clean_domain(old), clean_domain(new)
    if source is None or target is None:
        raise InputError("a domain's name cannot be empty: say a path such as python/packaging")
    if target != source and _is_inside(target, source):
        raise InputError(f"'{named(target)}' lies below '{named(source)}': say a name beside it")
    check_harmless(target)
    return source, target


def planned(reading: Transaction, source: str, target: str) -> Renaming:
    """What a renaming would change; nothing changes.

    Raises:
        InputError: the new path is the old one, or what lies below it would be too long.
        NotFoundError: nothing stands under the old one.
    """
    counts = reading.domains.counts(Filter())
    # Older libraries keep a backslash as it came: a path that nothing finds, until it is renamed.
    paths = {one.domain: clean_domain(one.domain) or one.domain for one in counts}
    inside = {was: path for was, path in paths.items() if _is_inside(path, source)}
    if not inside:
        raise NotFoundError(f"there is no domain {_instead(source, counts, 'name one of them')}")
    moved = {was: target + path[len(source) :] for was, path in inside.items()}
    moved = {was: path for was, path in moved.items() if was != path}
    if not moved:
        raise InputError(f"'{named(source)}' is called so already: say another name")
    longest = max(moved.values(), key=len)
    if len(longest) > DOMAIN_LIMIT:
        raise InputError(
            f"'{named(longest)}' would have {len(longest)} characters; the limit of a domain is "
            f"{DOMAIN_LIMIT}: say a shorter name"
        )
    changed = [one for one in counts if one.domain in moved]
    return Renaming(
        old=source,
        new=target,
        paths=moved,
        experiences=sum(one.experiences for one in changed),
        trajectories=sum(one.trajectories for one in changed),
        merged=any(was not in moved and _is_inside(path, target) for was, path in paths.items()),
    )


def rename(writing: Transaction, plan: Renaming, *, now: datetime, actor: str) -> None:
    """Rename a domain and what lies below it; every experience, served or not, gets a revision."""
    ids = writing.domains.experiences(plan.paths)
    rename_experiences(writing, ids, "domain", plan, now=now, actor=actor)
    writing.domains.move_trajectories(plan.paths)
