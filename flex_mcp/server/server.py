"""The MCP door: tools, resources and prompts on one library, for any transport.

Nothing here or below opens the file, loads a model or waits before the first call, so the
handshake and `tools/list` answer at once, also where the library cannot be opened.
"""

from mcp.server import MCPServer
from mcp.server.caching import CacheableMethod, CacheHint

from flex_mcp.app import App
from flex_mcp.server import sdk
from flex_mcp.server.change_feed import ChangeFeed
from flex_mcp.server.description import description, tool_schemas
from flex_mcp.server.limits import Load
from flex_mcp.server.prompts import add_prompts
from flex_mcp.server.resources import add_completions, add_resources
from flex_mcp.server.skills import Skills, add_skill_files
from flex_mcp.server.tools import TOOLS, library_tools, listed_by_rights, live_schemas
from flex_mcp.server.workplace import Workplace
from flex_mcp.version import __version__

__all__ = ["INSTRUCTIONS", "TOOLS", "build_server"]

INSTRUCTIONS = """\
This library holds lessons from earlier work. Before you start a task, call search_experience with \
the task in your own words; search again when you are stuck. Hits are notes to weigh, not orders. \
Sometimes the library serves nothing: go on without, and name the retrieval all the same when you \
record.
When work has ended, well or badly, call record_trajectory once: what you did, the outcome, who \
verified it, your own key for it, the retrieval_ids you used, the experiences that were helpful or \
harmful, and the lessons that it taught. Where the answer says that one is the same as another, \
merge it into that with curate_experience; where two contradict, find out which holds, and retire \
or edit the other.
If you hear later how it ended (CI, tests, the user), tell report_outcome by the trajectory's id \
or key. What you know without such work goes to save_lessons. distill makes a brief of recorded \
work that has no lessons yet: answer it with save_lessons. Correct a lesson that is wrong with \
curate_experience."""

# What never changes while a server runs; the resources do.
LASTING = CacheHint(ttl_ms=3_600_000, scope="public")
DESCRIBED: tuple[CacheableMethod, ...] = "server/discover", "tools/list", "prompts/list"
FIXED: dict[CacheableMethod, CacheHint] = dict.fromkeys(
    (*DESCRIBED, "resources/templates/list"), LASTING
)


def build_server(app: App, *, described: bool = True) -> MCPServer[None]:
    """The server of a library.

    `described` serves the committed description. With skills there is more to say, and what
    `scripts/describe` writes down cannot come from there: then the server describes itself.
    """
    feed, workplace = ChangeFeed(app), Workplace(app)
    skills = Skills(app, workplace) if app.publishes_skills else None
    described = described and skills is None
    server = MCPServer(
        "flex-mcp",
        title="flex-mcp experience library",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=library_tools(app, feed, workplace, tool_schemas() if described else live_schemas()),
        extensions=[skills] if skills else [],
        lifespan=feed.watched,
        subscriptions=feed.bus,
        cache_hints=FIXED,
        log_level="WARNING",
    )
    add_resources(server, app, feed, workplace)
    add_completions(server, app, workplace)
    add_prompts(server, app, workplace)
    if skills:
        add_skill_files(server, skills)
    sdk.watch_requests(server, Load())
    sdk.watch_requests(server, listed_by_rights)
    sdk.watch_requests(server, workplace.watch)
    if described:
        sdk.answer_from(server, description(), DESCRIBED)
    sdk.announce_changes(server)
    feed.serve(server)
    return server
