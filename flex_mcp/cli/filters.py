"""Filters of experiences, as NAME=VALUE says them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flex_mcp.cli.commands import ago, date_of
from flex_mcp.errors import InputError
from flex_mcp.models import Level, Status, Zone, clean_project, with_general

if TYPE_CHECKING:
    from flex_mcp.library.lists import WantedExperiences

WORDS = {"zone": Zone, "level": Level, "status": Status}
ALONE = ("text", "domain", "since")  # that are said once
FILTERS = (*ALONE, *WORDS, "project")


def filter_of(where: Sequence[str], here: str | None) -> "WantedExperiences":
    """The filter that NAME=VALUE says: of general lessons and those of the project at hand.

    Raises:
        InputError: all that is wrong with it.
    """
    said: dict[str, list[str]] = {}
    for each in where:
        name, _, value = each.partition("=")
        said.setdefault(name.strip(), []).append(value.strip())
    (text,), (domain,), (since,) = (said.get(name, [""])[:1] for name in ALONE)
    at = ago(since) or date_of(since)
    wrong = [*_wrong_names(said), *_wrong_words(said)]
    wrong += (
        [f"since cannot be {since!r}: say 2026-01-31, 36h, 7d or 2w"] if since and not at else []
    )
    if wrong:
        raise InputError(f"--where: {'; '.join(wrong)}")
    names = map(clean_project, said.get("project", ()))
    projects = [None if name == "general" else name for name in names]
    return {
        "text": text or None,
        "domain": domain or None,
        "since": at,
        "zones": [*map(Zone, said.get("zone", ()))] or None,
        "levels": [*map(Level, said.get("level", ()))] or None,
        "statuses": [*map(Status, said.get("status", ()))],
        "projects": projects or with_general(here),
    }


def _wrong_names(said: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, values in said.items():
        if name not in FILTERS:
            yield f"there is no {name!r}; it takes {', '.join(FILTERS)}, such as zone=warning"
        elif not all(values):
            yield f"{name} has no value: say {name}=VALUE"
        elif name in ALONE and len(values) > 1:
            yield f"{name} is there twice: say it once"


def _wrong_words(said: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, kind in WORDS.items():
        for value in filter(None, said.get(name, ())):
            if value not in {*kind}:
                yield f"{name} cannot be {value!r}; it is one of: {', '.join(kind)}"
