"""Which embedder serves a library: its own, unless the user asks for another by name."""

import threading
from collections.abc import Callable

from flex_mcp.errors import EmbedderError
from flex_mcp.models import Vectors
from flex_mcp.search.embedder import STATIC, Embedder

LoadEmbedder = Callable[[str, bool], Embedder]


class Embedders:
    """Embedders by name, each loaded once, when it is first needed.

    Args:
        load: makes the embedder of a name; its second argument allows fetching a model.
        wanted: the name that the user asked for; None takes the library's own.
    """

    def __init__(self, load: LoadEmbedder, wanted: str | None) -> None:
        self._load = load
        self._wanted = wanted
        self._loaded: dict[str, Embedder] = {}
        self._lock = threading.Lock()

    def serving(self, made_by: Vectors | None) -> tuple[Embedder | None, str | None]:
        """The embedder that goes with a library's vectors; or None, and why words alone must do.

        Raises:
            EmbedderError: the user asks for another one, or its model cannot be loaded.
        """
        name = made_by.embedder if made_by else self._wanted or STATIC
        if made_by and self._wanted not in {None, name}:
            raise EmbedderError(
                f"this library's vectors were made by {name!r} and FLEX_MCP_EMBEDDER asks for "
                f"{self._wanted!r}: run `flex-mcp reindex` to make them anew, or unset it"
            )
        embedder = self.named(name)
        if made_by in {None, embedder.vectors}:
            return embedder, None
        if name == STATIC:
            return None, (
                "this library's vectors are of another version than this flex-mcp's, so search "
                "goes by words alone: run `flex-mcp reindex`"
            )
        raise EmbedderError(
            f"the model {name!r} is not the one that made this library's vectors: "
            "run `flex-mcp reindex`"
        )

    def named(self, name: str, *, fetch: bool = False) -> Embedder:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name, fetch)
            return self._loaded[name]

    def target(self, made_by: Vectors | None, name: str | None) -> Embedder:
        """The embedder that a reindex goes to; its model may be fetched."""
        own = made_by.embedder if made_by else STATIC
        return self.named(name or self._wanted or own, fetch=True)
