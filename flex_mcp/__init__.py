"""flex-mcp: an experience library for any assistant.

`open_library` is the Python face; its verbs are the methods of `flex_mcp.library.library.Library`.
"""

from flex_mcp.version import __version__

TYPE_CHECKING = False  # as `typing` has it, whose import every start would pay for
if TYPE_CHECKING:
    from flex_mcp.app import open_library

__all__ = ["__version__", "open_library"]


def __getattr__(name: str) -> object:
    # Late: the handshake does not pay for storage and vectors.
    if name == "open_library":
        from flex_mcp.app import open_library

        return open_library
    raise AttributeError(f"module 'flex_mcp' has no attribute {name!r}")
