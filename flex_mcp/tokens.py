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
TINY = 1e-9  # nothing is divided by 0
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

        scores = np.zeros(len(texts))
        held = [np.frombuffer(text, np.uint16) for text in texts]
        lengths = np.array([len(text) for text in held], np.int64)
        asked = np.frombuffer(self.distinct(query), np.uint16)
        if len(asked) and lengths.any():
            scores[lengths > 0] = self._compared(asked, np.concatenate(held), lengths[lengths > 0])
        return scores.tolist()

    def _compared(
        self, asked: "NDArray[np.uint16]", held: "NDArray[np.uint16]", lengths: "NDArray[np.int64]"
    ) -> "Floats":
        """As `likeness`; `held` are the tokens of all texts, one text after the other."""
        import numpy as np

        documents = np.bincount(held, minlength=len(self._rows))
        known = np.flatnonzero(documents)
        of_texts, telling = self._weighed(known, documents, len(lengths))
        of_query, wanted = self._weighed(asked, documents, len(lengths))
        most = np.argsort(-wanted, kind="stable")[:LONGEST]
        of_query, wanted = of_query[most], wanted[most]
        cosines = np.maximum(of_texts @ of_query.T, 0)
        where = np.searchsorted(known, held)
        starts = lengths.cumsum() - lengths
        nearest = np.maximum.reduceat(cosines[where], starts, axis=0)
        sums = np.add.reduceat((cosines.max(axis=1) * telling)[where], starts)
        mass = np.add.reduceat(telling[where], starts)
        return nearest @ wanted / (wanted.sum() + TINY) + sums / (mass + TINY)

    def _weighed(
        self, chosen: "NDArray[np.integer[Any]]", documents: "NDArray[np.int64]", texts: int
    ) -> "tuple[Floats, Floats]":
        """Unit vectors of tokens, and what each weighs."""
        import numpy as np

        rows = self._rows[chosen].astype(np.float32)
        norms = np.linalg.norm(rows, axis=1) + TINY
        holding = documents[chosen]
        rarity = np.sqrt(np.log1p((texts - holding + 0.5) / (holding + 0.5)))
        return rows / norms[:, None], norms * self._scales[chosen] * rarity.astype(np.float32)


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
