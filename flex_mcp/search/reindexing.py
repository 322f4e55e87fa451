"""New vectors for a whole library: put aside in batches, then one short transaction switches."""

from collections.abc import Callable

from flex_mcp.models import Filter, Vectors
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.text import indexed_text
from flex_mcp.storage.protocol import Store

VERB = "reindex"
BATCH = 64  # texts embedded between two transactions: a kill loses at most these


def reindex(
    store: Store, embedder: Embedder, client: str, progress: Callable[[int, int], None]
) -> Vectors:
    """See `Library.reindex`."""
    with store.writing(VERB, client) as writing:
        writing.begin_staging(embedder.vectors)
    while True:
        _stage_all(store, embedder, client, progress)
        with store.writing(VERB, client) as writing:
            if not writing.unembedded(1):  # nothing was written since the last look
                writing.switch(embedder.vectors)
                return embedder.vectors


def _stage_all(
    store: Store, embedder: Embedder, client: str, progress: Callable[[int, int], None]
) -> None:
    with store.reading() as reading:
        total = len(reading.experience_ids(Filter()))
    done: int | None = None
    last: str | None = None
    while True:
        with store.reading() as reading:
            batch = reading.unembedded(BATCH, last)
            if done is None:
                done = total - reading.unstaged()
        progress(min(done, total), total)
        if not batch:
            return
        vectors = embedder.passages([experience.text for experience in batch])
        texts = [indexed_text(experience) for experience in batch]
        with store.writing(VERB, client) as writing:
            writing.stage(embedder.vectors, list(zip(batch, vectors, texts, strict=True)))
        done, last = done + len(batch), batch[-1].id
