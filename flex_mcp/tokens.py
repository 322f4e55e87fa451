"""The tokens that we learned vectors for, and how alike texts are, token by token.

`vectors/vectors.safetensors` holds int8 rows and a float32 scale for each; it is memory-mapped, so
that a process reads only the rows of the tokens it meets. The length of a token's vector says how
much it tells (training/README.md).
"""

import json
import mmap
import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

LONGEST = 64  # tokens of a query that are compared: those that tell the most
RECENT = 600  # texts whose tokens are remembered: what is embedded is stored right after


class Tokens:
    """A tokenizer and its vectors; `tokens()` gives the one of the process."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        folder = files("flex_mcp") / "vectors"
        with as_file(folder / "vectors.safetensors") as path:
            arrays, about = _safetensors(path)
        self._rows, self._scales = arrays["vectors"], arrays["scales"]
        self._tokenizer = Tokenizer.from_str(
            (folder / "tokenizer.json").read_text(encoding="utf-8")
        )
        self.of = lru_cache(RECENT)(self._of)
        self.version = about["version"]
        self.dimension = int(self._rows.shape[1])

    def _of(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def total(self, text: str) -> "Floats":
        """The sum of the vectors of a text's tokens."""
        import numpy as np

        found = self.of(text)
        return self._scales[found] @ self._rows[found].astype(np.float32)

    def distinct(self, text: str) -> bytes:
        """The tokens of a text, each once, as they are kept: two bytes each, rising."""
        import numpy as np

        return np.unique(np.array(self.of(text), np.uint16)).tobytes()

    def likeness(self, query: str, texts: Sequence[bytes]) -> list[float]:
        """How alike each of some texts (as `distinct` gives them) is to a query, 0 to 2.

        Each token of the query counts with the cosine of the nearest one in the text, and each
        token of the text with that of the nearest one in the query. A token weighs as much as its
        vector is long, and more where few of these texts hold it.
        """
        import numpy as np

        asked = np.frombuffer(self.distinct(query), np.uint16)
        held = [np.frombuffer(text, np.uint16) for text in texts]
        lengths = np.array([len(text) for text in held])
        if not len(asked) or not lengths.any():
            return [0.0] * len(texts)
        all_ = np.concatenate(held)
        documents = np.bincount(all_, minlength=len(self._rows))
        known = np.flatnonzero(documents)
        rarity = np.sqrt(np.log1p((len(texts) - documents + 0.5) / (documents + 0.5)))
        of_query, query_weights = self._weighed(asked, rarity)
        if len(asked) > LONGEST:
            most = np.argsort(-query_weights, kind="stable")[:LONGEST]
            of_query, query_weights = of_query[most], query_weights[most]
        of_texts, text_weights = self._weighed(known, rarity)
        cosines = np.maximum(of_query @ of_texts.T, 0)
        places = np.zeros(len(documents), np.int64)
        places[known] = np.arange(len(known))
        where = places[all_]
        starts = (lengths.cumsum() - lengths)[lengths > 0]
        found = np.maximum.reduceat(cosines[:, where], starts, axis=1)
        asking = query_weights @ found / max(query_weights.sum(), 1e-9)
        answering = (cosines.max(axis=0) * text_weights)[where]
        answered = np.add.reduceat(answering, starts)
        answered /= np.maximum(np.add.reduceat(text_weights[where], starts), 1e-9)
        scores = np.zeros(len(texts))
        scores[lengths > 0] = asking + answered
        return scores.tolist()

    def _weighed(
        self, chosen: "NDArray[np.integer[Any]]", rarity: "NDArray[np.float64]"
    ) -> "tuple[Floats, Floats]":
        """Unit vectors of tokens, and what each weighs."""
        import numpy as np

        rows = self._rows[chosen].astype(np.float32)
        norms = np.maximum(np.linalg.norm(rows, axis=1), 1e-9)
        weights = norms * self._scales[chosen] * rarity[chosen]
        return rows / norms[:, None], weights.astype(np.float32)


@cache
def tokens() -> Tokens:
    return Tokens()


def _safetensors(path: Path) -> "tuple[dict[str, NDArray[Any]], dict[str, str]]":
    """A safetensors file, memory-mapped, and its notes: 8 bytes length, JSON header, the data."""
    import numpy as np

    types = {"I8": np.int8, "F32": np.float32}
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack("<Q", mapped[:8])
    header: dict[str, Any] = json.loads(mapped[8 : 8 + length])
    notes: dict[str, str] = header.pop("__metadata__")
    arrays: dict[str, NDArray[Any]] = {}
    for name, about in header.items():
        start, end = about["data_offsets"]
        kind = np.dtype(types[about["dtype"]])
        flat = np.frombuffer(mapped, kind, (end - start) // kind.itemsize, 8 + length + start)
        arrays[name] = flat.reshape(about["shape"])
    return arrays, notes
