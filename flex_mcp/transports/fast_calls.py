"""A usual search before the SDK is there: the tool's own function, plainly checked arguments."""

from typing import TYPE_CHECKING, Any

from flex_mcp.errors import FlexError
from flex_mcp.models.vocabulary import TASK_LIMIT
from flex_mcp.tools.arguments import SearchArguments
from flex_mcp.tools.tools import STDIO, Caller, caller_name, search_experience

if TYPE_CHECKING:
    from flex_mcp.app import App

MOST = 20  # hits


def answered(
    app: "App", tool: str, arguments: dict[str, Any], name: str, version: str, *, roots: bool
) -> tuple[str, dict[str, Any]] | None:
    """The text and content of an answer; None where the server should see to the call.

    Args:
        app: with the library that is searched.
        tool: its name; only `search_experience` is answered here.
        arguments: as they came: those of a query alone, or with a limit, are usual.
        name: of the client.
        version: of the client.
        roots: whether it offers its roots, which the server asks for where our folder is of no
            project.
    """
    query, limit = arguments.get("query"), arguments.get("limit", MOST)
    if tool != "search_experience" or not arguments.keys() <= {"query", "limit"}:
        return None
    if not isinstance(query, str) or not query.strip() or len(query) > TASK_LIMIT:
        return None
    if type(limit) is not int or not 1 <= limit <= MOST:
        return None
    try:
        if roots and not app.is_placed:
            return None
        given = SearchArguments(**arguments)
        name = caller_name(f"{name} {version}")
        caller = Caller(name, STDIO, lasts=True, project=app.project)
        found = search_experience(app, given, caller)
    except FlexError:
        return None  # the server says what is wrong
    return found.text, found.content
