"""flex-mcp: an experience library for any assistant.

`open_library` is the Python face; its verbs are the methods of `flex_mcp.library.Library`.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flex_mcp.app import open_library

__version__ = version("flex-mcp")
__all__ = ["__version__", "open_library"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the module holds
    # Late, so that `import flex_mcp.server` and the handshake do not pay for storage and vectors.
    if name == "open_library":
        from flex_mcp.app import open_library

        return open_library
    raise AttributeError(f"module 'flex_mcp' has no attribute {name!r}")
