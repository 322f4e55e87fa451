"""flex-mcp: an experience library for any assistant.

`open_library` opens one; its verbs are the methods of `Library`. What they take and give are the
values of `flex_mcp.models`, and what they raise the errors of `flex_mcp.errors`.
"""

from importlib import import_module

from flex_mcp.version import __version__

TYPE_CHECKING = False  # as `typing` has it, whose import every start would pay for
if TYPE_CHECKING:
    from flex_mcp.app import open_library
    from flex_mcp.errors import FlexError
    from flex_mcp.library.library import Library
    from flex_mcp.models import Curation, Experience, Fields, Lesson, Outcome, Trajectory
    from flex_mcp.models.forgetting import Choice

__all__ = [
    "Choice",
    "Curation",
    "Experience",
    "Fields",
    "FlexError",
    "Lesson",
    "Library",
    "Outcome",
    "Trajectory",
    "__version__",
    "open_library",
]

_PLACES = {
    "Choice": "flex_mcp.models.forgetting",
    "FlexError": "flex_mcp.errors",
    "Library": "flex_mcp.library.library",
    "open_library": "flex_mcp.app",
}


def __getattr__(name: str) -> object:
    # Late: the handshake does not pay for storage and vectors.
    if name in __all__:
        return getattr(import_module(_PLACES.get(name, "flex_mcp.models")), name)
    raise AttributeError(f"module 'flex_mcp' has no attribute {name!r}")
