"""An embedder of the caller's own: an object with two methods, as an Embedder of the search."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flex_mcp.errors import EmbedderError
from flex_mcp.models import Vectors
from flex_mcp.search.embedder import PYTHON, chunks
from flex_mcp.search.encoder import unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class OwnEmbedder(Protocol):
    """What `open_library` takes as an embedder; an `Embeddings` of LangChain with a name is one.

    Vectors are lists or arrays of numbers, all of one length, of any scale. `name` and `version`
    are kept with the library's vectors: change one of them when the model changes, and reindex.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def embed_query(self, text: str) -> "ArrayLike":
        """The vector of a task."""
        ...

    def embed_documents(self, texts: list[str]) -> "ArrayLike":
        """The vectors of some texts of at most 180 words, one each, in their order."""
        ...


class NamedEmbedder:
    """The same as an `Embedder`; the first call tells its dimension."""

    kind = "model"
    near_duplicate = 0.95
    related = 0.5

    def __init__(self, own: OwnEmbedder) -> None:
        import numpy as np

        self._own = own
        dimension = len(np.ravel(np.asarray(own.embed_query("dimension"), np.float32)))
        self.vectors = Vectors(embedder=named(own), version=own.version, dimension=dimension)

    def query(self, text: str) -> bytes:
        (vector,) = self._sound([self._own.embed_query(text)], 1)
        return vector

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:
        _ = headings  # a text begins with its own, and has no vector of it beside
        chunked = [chunks(text) for text in texts]
        flat = [chunk for parts in chunked for chunk in parts]
        made = iter(self._sound(self._own.embed_documents(flat), len(flat)) if flat else ())
        return [[next(made) for _ in parts] for parts in chunked]

    def _sound(self, made: Any, count: int) -> list[bytes]:
        """So many unit vectors.

        Raises:
            EmbedderError: they are others, or no numbers.
        """
        import numpy as np

        try:
            found = np.asarray(made, np.float32).reshape(count, -1)
        except (ValueError, TypeError):
            found = np.empty((0, 0), np.float32)
        if found.shape != (count, self.vectors.dimension) or not np.isfinite(found).all():
            raise EmbedderError(
                f"the embedder {self._own.name!r} did not give {count} vectors of "
                f"{self.vectors.dimension} finite numbers: embed_query gives one for a text, "
                "embed_documents one for each"
            )
        return [unit(np.asarray(vector)).tobytes() for vector in found]


def named(own: OwnEmbedder) -> str:
    """The name that stands with its vectors: no embedder of another kind has one like it."""
    return PYTHON + own.name
