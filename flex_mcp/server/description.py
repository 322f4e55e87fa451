"""The server's description: what it says of itself, made by `scripts/describe` and committed.

The live server serves it, and the fast start answers from it before the server is loaded: so the
two cannot differ, whatever versions are installed. Only the standard library is imported here.
"""

import functools
import json
import os

TYPE_CHECKING = False  # see `flex_mcp`
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Results = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by protocol version, then method
    Schemas = Mapping[str, tuple[dict[str, Any], dict[str, Any]]]  # of a tool's input and output


@functools.cache
def description() -> "Results":
    """The results of `initialize`, `ping`, `server/discover`, `tools/list` and `prompts/list`."""
    path = os.path.join(os.path.dirname(__file__), "description.json")
    with open(path, encoding="utf-8") as file:
        written: dict[str, Any] = json.load(file)
    return {
        version: {method: written["results"][index] for method, index in indexes.items()}
        for version, indexes in written["openings"].items()
    }


def tool_schemas() -> "Schemas":
    """The JSON schemas of the tools' arguments and answers, by the name of the tool."""
    newest = description()[max(description())]
    return {
        tool["name"]: (tool["inputSchema"], tool["outputSchema"])
        for tool in newest["tools/list"]["tools"]
    }
