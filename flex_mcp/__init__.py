"""flex-mcp: an experience library for any assistant.

`open_library` opens one; its verbs are the methods of `Library`, and of `AsyncLibrary` for code
that must not block. What they take and give are the values of `flex_mcp.models`, and what they
raise the errors of `flex_mcp.errors`.
"""

from importlib import import_module

from flex_mcp.version import __version__

TYPE_CHECKING = False  # as `typing` has it, whose import every start would pay for
if TYPE_CHECKING:
    from flex_mcp.errors import FlexError
    from flex_mcp.learning.own_model import OwnModel
    from flex_mcp.models import Curation, Experience, Fields, Lesson, Outcome, Trajectory
    from flex_mcp.models.forgetting import Choice
    from flex_mcp.python.async_library import AsyncLibrary, open_async_library
    from flex_mcp.python.library import Library, open_library
    from flex_mcp.search.own_embedder import OwnEmbedder

__all__ = [
    "AsyncLibrary",
    "Choice",
    "Curation",
    "Experience",
    "Fields",
    "FlexError",
    "Lesson",
    "Library",
    "Outcome",
    "OwnEmbedder",
    "OwnModel",
    "Trajectory",
    "__version__",
    "open_async_library",
    "open_library",
]

_PLACES = {
    "AsyncLibrary": "flex_mcp.python.async_library",
    "Choice": "flex_mcp.models.forgetting",
    "FlexError": "flex_mcp.errors",
    "Library": "flex_mcp.python.library",
    "OwnEmbedder": "flex_mcp.search.own_embedder",
    "OwnModel": "flex_mcp.learning.own_model",
    "open_async_library": "flex_mcp.python.async_library",
    "open_library": "flex_mcp.python.library",
}


def __getattr__(name: str) -> object:
    # Late: the handshake does not pay for storage and vectors.
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, "flex_mcp.models")), name)
    raise AttributeError(f"module 'flex_mcp' has no attribute {name!r}")
