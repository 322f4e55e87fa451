"""Which embedder serves a library: its own, unless the user asks for another by name."""

import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flex_mcp.errors import EmbedderError
from flex_mcp.models import ExperienceFilter, Vectors
from flex_mcp.search.embedder import BUILT_IN, DEFAULT, PYTHON, STATIC, Embedder
from flex_mcp.search.text import indexed_text, texts_of
from flex_mcp.settings import Settings
from flex_mcp.storage.protocol import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        name = made_by.embedder if made_by else self._wanted or DEFAULT
        if self._wanted is not None and self._wanted != name:
            raise EmbedderError(
                f"this library's vectors were made by {name!r} and {_asked_by(self._wanted)}"
            )
        embedder = self.named(name)
        if made_by in {None, embedder.vectors}:
            return embedder, None
        if name in BUILT_IN:
            return None, (
                "this library's vectors are of another version than this flex-mcp's, so search "
                "goes by words alone: run `flex-mcp reindex`"
            )
        raise EmbedderError(
            f"the model {name!r} is not the one that made this library's vectors: "
            "run `flex-mcp reindex`"
        )

    def searching(self, made_by: Vectors | None) -> tuple[Embedder | None, str | None]:
        """The same for a search, which can do without an embedder that Python code alone has.

        Raises:
            EmbedderError: as `serving`.
        """
        try:
            return self.serving(made_by)
        except EmbedderError as error:
            if made_by is None or not made_by.embedder.startswith(PYTHON) or self._wanted:
                raise
            return None, f"search goes by words alone: {error}"

    def named(self, name: str, *, fetch: bool = False) -> Embedder:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name, fetch)
            return self._loaded[name]

    def target(self, made_by: Vectors | None, name: str | None) -> Embedder:
        """The embedder that a reindex goes to; its model may be fetched."""
        own = made_by.embedder if made_by else DEFAULT
        return self.named(name or self._wanted or own, fetch=True)


def _asked_by(name: str) -> str:
    """Who asks for another embedder, and what makes the vectors anew."""
    if name.startswith(PYTHON):
        return f"this one is {name!r}: call `reindex()` to make them anew, or open it without"
    return (
        f"FLEX_MCP_EMBEDDER asks for {name!r}: run `flex-mcp reindex` to make them anew, or unset "
        "it"
    )


def advice(made_by: Vectors | None, library: Path) -> str | None:
    """What another embedder would bring a library that has an older one's vectors."""
    if made_by is None or made_by.embedder != STATIC:
        return None
    usual = library == Settings().library
    at = "" if usual else f" --library {shlex.quote(str(library))}"
    return (
        f"`flex-mcp embedder use ours{at}` would find more by what it means, without a download: a "
        "lesson that helps is among the three nearest for 72 instead of 63 of 100 tasks "
        "(78 with all-MiniLM-L6-v2, which fetches 90 MB)"
    )


QUESTION = "how to pin the compiler version in a build image"
RELATED = "Fix the release of the compiler when you make the image for the build."
UNRELATED = "Soak the beans overnight so that they cook evenly."
WIDEST = 8192  # dimensions that vec0 takes
SAMPLE = 8  # texts of the library that are timed
WRITING = 0.001  # seconds to store the vectors of one experience and to index them
SAME = (
    0.98  # cosine from which two vectors are of one model, float32 or int8, on whatever processor
)
UNIT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a library would fare with an embedder.

    `seconds` is what all its texts would take; `agrees` says that its vectors are this embedder's
    already.
    """

    vectors: Vectors
    experiences: int
    seconds: float
    agrees: bool


class Switching:
    """A library before it goes over to another embedder; `Library.reindex` makes the switch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check_writable(self) -> None:
        """See whether the library can be written now.

        Raises:
            LibraryError: it cannot.
        """
        with self._store.writing("look", "flex-mcp"):
            pass

    def trial(self, embedder: Embedder) -> Trial:
        """Try an embedder on two sentences and on a few texts of the library.

        Raises:
            EmbedderError: what it makes cannot be used.
        """
        check_sound(embedder)
        with self._store.reading() as reading:
            made_by = reading.vectors.made_by()
            ids = reading.experiences.ids(ExperienceFilter())
            sample = reading.experiences.get(ids[:: max(len(ids) // SAMPLE, 1)][:SAMPLE])
            kept = reading.vectors.of([one.id for one in sample])
        started = time.perf_counter()
        made = embedder.passages(*texts_of(sample))
        each = (time.perf_counter() - started) / max(len(sample), 1)
        ours = [kept.get(one.id, []) for one in sample]
        return Trial(
            vectors=embedder.vectors,
            experiences=len(ids),
            seconds=len(ids) * (each + WRITING),
            agrees=made_by == embedder.vectors and all(map(_are_one, ours, made)),
        )

    def stay(self, client: str = "python") -> None:
        """Forget the vectors that an unfinished reindex has put aside."""
        with self._store.writing("reindex", client) as writing:
            if (made_by := writing.vectors.made_by()) is not None:
                writing.reindexing.begin(made_by)


def check_sound(embedder: Embedder) -> None:
    """See whether an embedder makes finite unit vectors that tell the related from the unrelated.

    Raises:
        EmbedderError: it does not.
    """
    name, dimension = embedder.vectors.embedder, embedder.vectors.dimension
    if dimension > WIDEST:
        raise EmbedderError(
            f"{name} makes vectors of {dimension:,} dimensions and a library takes {WIDEST:,}: "
            "use another model"
        )
    question = _vector(embedder.query(QUESTION))
    (related, *_), (unrelated, *_) = embedder.passages([RELATED, UNRELATED])
    vectors = [question, _vector(related), _vector(unrelated)]
    if not all(_is_unit(one, dimension) for one in vectors):
        raise EmbedderError(
            f"{name} makes no unit vectors of {dimension} dimensions: its files are damaged or of "
            "another model, so get them anew or use another"
        )
    if not vectors[0] @ vectors[1] > vectors[0] @ vectors[2]:
        raise EmbedderError(
            f"{name} does not tell a related sentence from an unrelated one: its files are damaged "
            "or of another model, so get them anew or use another"
        )


def are_alike(one: Embedder, other: Embedder) -> bool:
    """Whether two embedders are the same model, from the same files or nearly."""
    return _are_same(one.query(QUESTION), other.query(QUESTION))


def _are_one(ours: Sequence[bytes], made: Sequence[bytes]) -> bool:
    """Whether the chunks of a text have the same vectors."""
    return len(ours) == len(made) and all(map(_are_same, ours, made))


def _are_same(one: bytes, other: bytes) -> bool:
    first, second = _vector(one), _vector(other)
    if len(first) != len(second):
        return False
    return bool(first @ second >= SAME) or not (first.any() or second.any())


def _is_unit(vector: "NDArray[np.float32]", dimension: int) -> bool:
    import numpy as np

    length = float(np.linalg.norm(vector))  # not finite where any part is not
    return vector.shape == (dimension,) and abs(length - 1) < UNIT


def _vector(raw: bytes) -> "NDArray[np.float32]":
    import numpy as np

    return np.frombuffer(raw, np.float32)


VERB = "reindex"
BATCH = 64  # texts embedded between two transactions: a kill loses at most these


def reindex(
    store: Store, embedder: Embedder, client: str, progress: Callable[[int, int], None]
) -> Vectors:
    """See `Library.reindex`."""
    with store.writing(VERB, client) as writing:
        writing.reindexing.begin(embedder.vectors)
    while True:
        _stage_all(store, embedder, client, progress)
        with store.writing(VERB, client) as writing:
            if not writing.reindexing.missing(1):  # nothing was written since the last look
                writing.reindexing.switch(embedder.vectors)
                return embedder.vectors


def _stage_all(
    store: Store, embedder: Embedder, client: str, progress: Callable[[int, int], None]
) -> None:
    with store.reading() as reading:
        total = reading.experiences.count(ExperienceFilter())
    done: int | None = None
    last: str | None = None
    while True:
        with store.reading() as reading:
            batch = reading.reindexing.missing(BATCH, last)
            if done is None:
                done = total - reading.reindexing.count_missing()
        progress(min(done, total), total)
        if not batch:
            return
        vectors = embedder.passages(*texts_of(batch))
        texts = [indexed_text(experience) for experience in batch]
        with store.writing(VERB, client) as writing:
            writing.reindexing.put(embedder.vectors, list(zip(batch, vectors, texts, strict=True)))
        done, last = done + len(batch), batch[-1].id
