"""Ids, domains, projects as a person types them: the beginning will do, and shells complete it."""

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from flex_mcp.errors import FlexError, InputError
from flex_mcp.models import Projects, with_general
from flex_mcp.safety.quoting import one_line, shortened

if TYPE_CHECKING:
    from flex_mcp.library.library import Library
    from flex_mcp.storage.protocol import Completable

BEGINNING = re.compile(r"[a-z]_[a-z2-7]{1,11}")
MOST = 5  # ids that are told, where several begin alike
OFFERED = 50  # by the shell
NAME = 60  # characters of a title or a task


class Held(click.ParamType[str]):
    """What a library holds, ids, domains or projects: the shell completes it."""

    name = "text"

    def __init__(self, what: "Completable") -> None:
        self.what: Completable = what

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        what = "trajectory_ids" if param.name == "trajectory_ids" else self.what

        def offered(library: "Library", projects: Projects) -> list[CompletionItem]:
            of = None if what == "projects" else projects
            found = library.catalogue.complete(what, incomplete, OFFERED, of)
            names = library.catalogue.names(found, projects)
            return [CompletionItem(one, help=short(names.get(one, ""))) for one in found]

        return _of_library(ctx, offered)


ID = Held("ids")  # or the beginning of one: `whole_ids` finds which
DOMAIN = Held("domains")
PROJECT = Held("projects")


def _of_library(
    ctx: click.Context, offered: Callable[["Library", Projects], list[CompletionItem]]
) -> list[CompletionItem]:
    """What is offered out of the library; nothing, and no change, where that does not go well."""
    from flex_mcp.app import App
    from flex_mcp.cli.commands import projects_of
    from flex_mcp.storage.sqlite.store import look

    chosen = ctx.params.get("library") or ctx.find_root().params.get("library")
    app = App(library=chosen, new=False)
    with contextlib.suppress(FlexError, OSError), contextlib.closing(app):
        seen = look(app.settings.library)
        if seen.version == seen.newest:  # opening an older one would bring it up to date
            projects = with_general(app.project)
            if "all_projects" in ctx.params:  # what stands on the line already
                projects = projects_of(ctx.params, projects)
            return offered(app.library, projects)
    return []


def short(name: str) -> str:
    """A title or a task in one short line."""
    return shortened(one_line(name), NAME)


def whole_ids(library: Callable[[], "Library"], given: dict[str, Any]) -> dict[str, Any]:
    """What a command was given, with its ids whole.

    Raises:
        InputError: several ids begin so; it says which.
    """
    params = click.get_current_context().command.params
    for name in (one.name for one in params if one.type is ID):
        value = given.get(name or "")
        if isinstance(value, str):
            given[name or ""] = _whole(library, value)
        elif value:
            given[name or ""] = tuple(_whole(library, one) for one in value)
    return given


def _whole(library: Callable[[], "Library"], text: str) -> str:
    if not BEGINNING.fullmatch(text):
        return text
    found = library().catalogue.complete("ids", text, MOST + 1)
    if len(found) < 2:
        return found[0] if found else text
    names = library().catalogue.names(found)
    told = [f"{id_} ({short(names[id_])})" if id_ in names else id_ for id_ in found[:MOST]]
    more = " and more" if len(found) > MOST else ""
    raise InputError(f"several ids begin with {text}: {', '.join(told)}{more}: give more of it")
