"""Resources: the library and what it holds, listed page by page, read, and completed."""

import base64
import contextlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import ResourceSecurity
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    Annotations,
    Completion,
    CompletionArgument,
    ListResourcesResult,
    PaginatedRequestParams,
    PromptReference,
    Resource,
    ResourceTemplateReference,
)

from flex_mcp.app import App
from flex_mcp.errors import NotFoundError
from flex_mcp.models import Experience, Place, Projects, Zone
from flex_mcp.safety.quoting import one_line, shortened, visible
from flex_mcp.server import sdk
from flex_mcp.server.change_feed import ChangeFeed
from flex_mcp.server.limits import refusing
from flex_mcp.server.workplace import Workplace
from flex_mcp.tools import pages, uris
from flex_mcp.tools.skills import skills
from flex_mcp.tools.uris import JSON, MARKDOWN

if TYPE_CHECKING:
    from flex_mcp.library.library import Library

PAGE = 100  # resources; the first page begins with the library itself
DESCRIPTION = 300  # characters of `when` in the list
COMPLETIONS = 100  # the spec allows no more
EXPERIENCE_ID = re.compile(r"e_[a-z2-7]{12}")
EVERYBODY = Annotations(audience=["user", "assistant"], priority=0.5)
Reference = PromptReference | ResourceTemplateReference
LIBRARY: dict[str, Any] = {
    "uri": uris.LIBRARY,
    "name": "library",
    "title": "Experience library",
    "description": "What the library holds, counted by zone, level, domain and state, "
    "and its last changes.",
    "mime_type": JSON,
    "annotations": Annotations(audience=["user", "assistant"], priority=0.8),
}

TEMPLATE: dict[str, Any] = {"mime_type": MARKDOWN, "annotations": EVERYBODY}


def add_resources(server: MCPServer[Any], app: App, feed: ChangeFeed, workplace: Workplace) -> None:
    """Serve the resources, and their list page by page."""

    async def read(page: Callable[["Library"], str]) -> str:
        await feed.begin()
        return await anyio.to_thread.run_sync(_read, app, page)

    async def library() -> str:
        return await read(lambda library: pages.library_page(library, workplace.projects))

    server.add_resource(FunctionResource(**LIBRARY, fn=library))

    @server.resource(uris.EXPERIENCE, name="experience", title="One experience", **TEMPLATE)
    async def experience(id: str) -> str:  # noqa: A002  as the address has it
        """An experience whole: lesson, examples, evidence, counters, history."""
        return await read(lambda library: pages.experience_page(library, id))

    @server.resource(uris.TRAJECTORY, name="trajectory", title="One trajectory", **TEMPLATE)
    async def trajectory(id: str) -> str:  # noqa: A002
        """A recorded trajectory whole: task, steps, answer, outcome, verdict."""
        return await read(lambda library: pages.trajectory_page(library, id))

    @server.resource(uris.ZONE, name="zone", title="A zone", **TEMPLATE)
    async def zone(zone: str) -> str:
        """The newest active experiences of a zone: golden, warning or mixed."""
        return await read(lambda library: pages.zone_page(library, zone, workplace.projects))

    never_a_file = ResourceSecurity(exempt_params={"domain"})  # so `a:b` is no path of Windows

    @server.resource(
        uris.DOMAIN, name="domain", title="A domain", security=never_a_file, **TEMPLATE
    )
    async def domain(domain: str) -> str:
        """The newest active experiences of a domain and what lies below it."""
        return await read(lambda library: pages.domain_page(library, domain, workplace.projects))

    async def list_resources(_: object, params: PaginatedRequestParams) -> ListResourcesResult:
        after = None if params.cursor is None else _place(params.cursor)
        await feed.begin()
        return await anyio.to_thread.run_sync(_listed, app, after, workplace)

    low = sdk.lowlevel(server)
    low.add_request_handler("resources/list", PaginatedRequestParams, list_resources)


def add_completions(server: MCPServer[Any], app: App, workplace: Workplace) -> None:
    """Complete what addresses and prompts name: ids, zones, domains."""

    @server.completion()
    async def complete(ref: Reference, argument: CompletionArgument, _: object) -> Completion:
        return await anyio.to_thread.run_sync(_completed, app, ref, argument, workplace)


@refusing()
def _read(app: App, page: Callable[["Library"], str]) -> str:
    try:
        return page(app.library)
    except NotFoundError as error:
        raise ResourceNotFoundError(str(error)) from error


# Listing


@refusing()
def _listed(app: App, after: Place | None, workplace: Workplace) -> ListResourcesResult:
    projects = workplace.projects
    room = PAGE - (after is None)
    found = app.library.catalogue.page(after, room + 1, projects) if app.is_there else []
    first = [_library(app, projects)] if after is None else []
    shown = found[:room]
    return ListResourcesResult(
        resources=[*first, *map(_resource, shown)],
        next_cursor=_cursor(shown[-1]) if len(found) > room else None,
    )


def _library(app: App, projects: Projects) -> Resource:
    found = Resource(**LIBRARY)
    changes = app.library.last_revisions(1, projects) if app.is_there else []
    if found.annotations and changes:
        changed = {"last_modified": changes[0].at.isoformat()}
        found.annotations = found.annotations.model_copy(update=changed)
    return found


def _resource(experience: Experience) -> Resource:
    return Resource(
        uri=uris.experience(experience.id),
        name=one_line(experience.title),
        title=one_line(experience.title),
        description=shortened(one_line(experience.when), DESCRIPTION) or None,
        mime_type=MARKDOWN,
        annotations=Annotations(
            audience=["user", "assistant"],
            priority=experience.priority / 5,
            last_modified=experience.updated_at.isoformat(),
        ),
    )


def _cursor(experience: Experience) -> str:
    text = f"{experience.created_at.isoformat()} {experience.id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _place(cursor: str) -> Place:
    with contextlib.suppress(ValueError):
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
        time, _, id_ = text.partition(" ")
        created_at = datetime.fromisoformat(time)
        if EXPERIENCE_ID.fullmatch(id_):
            return Place(created_at, id_)
    raise MCPError(
        code=INVALID_PARAMS, message="this cursor is not one of ours: list again without a cursor"
    )


# Completing


@refusing()
def _completed(
    app: App, ref: Reference, argument: CompletionArgument, workplace: Workplace
) -> Completion:
    projects = workplace.projects
    # What an argument names: ids look alike in two templates.
    subject = ref.uri if isinstance(ref, ResourceTemplateReference) else argument.name
    start, most, found = argument.value, COMPLETIONS + 1, list[str]()
    if subject == uris.ZONE:
        found = [str(zone) for zone in Zone if zone.startswith(start)]
    elif app.is_there and subject == uris.EXPERIENCE:
        found = app.library.catalogue.complete("experience_ids", start, most, projects)
    elif app.is_there and subject == uris.TRAJECTORY:
        found = app.library.catalogue.complete("trajectory_ids", start, most, projects)
    elif app.is_there and subject in {uris.DOMAIN, "domain"}:
        found = app.library.catalogue.complete("domains", start, most, projects)
    elif app.is_there and subject == uris.SKILL and app.publishes_skills:
        names = (skill.name for skill in skills(app.library.catalogue.approved(projects)))
        found = [name for name in names if name.startswith(start)][:most]
    found = [one for one in found if visible(one) == one]  # a name to type has nothing unseen
    more = len(found) > COMPLETIONS
    return Completion(values=found[:COMPLETIONS], total=None if more else len(found), has_more=more)
