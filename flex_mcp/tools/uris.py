"""The addresses of what a library holds: made and named here, wherever they are used."""

from collections.abc import Iterator
from urllib.parse import quote

from flex_mcp.models import Revision, Snapshot

MARKDOWN, JSON = "text/markdown", "application/json"  # what their pages are

LIBRARY = "flex://library"
EXPERIENCE = "flex://experience/{id}"
TRAJECTORY = "flex://trajectory/{id}"
ZONE = "flex://zone/{zone}"
DOMAIN = "flex://domain/{+domain}"
SKILL = "skill://{name}/SKILL.md"


def experience(id_: str) -> str:
    return f"flex://experience/{id_}"


def trajectory(id_: str) -> str:
    return f"flex://trajectory/{id_}"


def zone(name: str) -> str:
    return f"flex://zone/{name}"


def domain(path: str) -> str:
    return f"flex://domain/{quote(path, safe='/')}"


def touched(revision: Revision) -> Iterator[str]:
    """What reads differently after a revision."""
    yield LIBRARY
    yield experience(revision.experience_id)
    if revision.trajectory_id is not None:
        yield trajectory(revision.trajectory_id)
    for side in (revision.before, revision.after):
        if side is not None:
            yield zone(side.zone)
            yield from _domains(side)


def _domains(side: Snapshot) -> Iterator[str]:
    """A domain and those that it lies in."""
    segments = side.domain.split("/") if side.domain else []
    for depth in range(1, len(segments) + 1):
        yield domain("/".join(segments[:depth]))
