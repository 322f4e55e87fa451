"""A library that a person looks after, and what is said of it, the same in every run."""

import re
from pathlib import Path

from flex_mcp import open_library
from flex_mcp.models import Experience, Zone
from support.fakes import LESSONS, a_lesson, add

ID = re.compile(r"\b([et])_[a-z2-7]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LIBRARY = re.compile(r"\S+library\.db")


def docker_library(folder: Path) -> Path:
    """A library with three lessons in docker, of which one is a warning, and one elsewhere."""
    file = folder / "library.db"
    with open_library(file) as library:
        add(
            library,
            a_lesson(LESSONS[0], domain="docker"),
            a_lesson(LESSONS[1], domain="docker"),
            a_lesson(LESSONS[2], domain="docker/node", zone=Zone.WARNING),
            a_lesson(LESSONS[3], when="Dates.", tags=("time",)),
        )
    return file


def ids_of(path: Path) -> list[str]:
    """The oldest first."""
    with open_library(path) as library:
        return [one.id for one in library.experiences(reverse=True)]


def found(path: Path, id_: str) -> Experience:
    with open_library(path) as library:
        return library.get(id_)


def statuses(path: Path) -> list[str]:
    """The oldest's first."""
    with open_library(path) as library:
        return [str(one.status) for one in library.experiences(reverse=True)]


def told(text: str, *known: str) -> str:
    """A text without what is another in every run; the ids that are known by their number."""
    text = LIBRARY.sub("LIBRARY", TIME.sub("TIME", text))
    for number, id_ in enumerate(known):
        text = text.replace(id_, f"e_{number}")
    return ID.sub(r"\1_…", text)
