"""The library's background: how well generic queries fare in it, measured and kept in the file."""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING
from zlib import crc32

from flex_mcp.models import Filter, Vectors
from flex_mcp.search import background, safetensors
from flex_mcp.search.background import Baseline, Features
from flex_mcp.search.candidates import Search, candidates
from flex_mcp.search.embedder import Embedder
from flex_mcp.search.hits import features_of
from flex_mcp.storage.protocol import Transaction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BACKGROUND = "relevance"  # the setting in the file; "background" is that of version 0.1.0
GROWTH = 0.1  # share by which a library may grow or shrink before its background is measured anew


@dataclass(frozen=True, slots=True, eq=False)
class KeptBaseline:
    """A background with what made it, and on how many experiences.

    `generic` are the unit vectors of the generic queries, a row each: a model takes seconds to make
    them.
    """

    background: Baseline
    maker: str
    experiences: int
    generic: "NDArray[np.float32]"

    def made_by(self, embedder: Embedder) -> bool:
        return self.maker == maker(embedder)

    def fits(self, embedder: Embedder, experiences: int) -> bool:
        changed = abs(experiences - self.experiences)
        return self.made_by(embedder) and changed <= GROWTH * self.experiences

    def cosines(self, vector: bytes) -> list[float]:
        """The cosines of a unit float32 vector to the generic queries."""
        import numpy as np

        found: list[float] = (self.generic @ np.frombuffer(vector, np.float32)).tolist()
        return found

    def as_json(self) -> str:
        """The vectors in one byte a number: their cosines change by less than 0.01."""
        import numpy as np

        largest = float(np.abs(self.generic).max())
        whole = np.round(self.generic * (127 / max(largest, 1e-9))).astype(np.int8)
        rows = b64encode(whole.tobytes()).decode()
        return json.dumps([self.maker, self.experiences, *self.background, rows])


def kept(reading: Transaction, embedder: Embedder) -> KeptBaseline | None:
    """The one in the file, unless another embedder or version made it, or it is damaged."""
    try:
        return _kept(reading.settings.get(BACKGROUND) or '[""]', embedder)
    except (ValueError, TypeError, LookupError):
        return None  # it is measured anew


def _kept(text: str, embedder: Embedder) -> KeptBaseline | None:
    import numpy as np

    made_by, *rest = json.loads(text)
    if made_by != maker(embedder):
        return None
    experiences, mean, deviation, rows = rest
    measured = Baseline(Features(*mean), Features(*deviation))
    generic = np.frombuffer(b64decode(rows), np.int8).reshape(-1, embedder.vectors.dimension)
    return KeptBaseline(measured, made_by, experiences, _unit(generic.astype(np.float32)))


def _unit(rows: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    return rows / np.maximum(lengths, np.float32(1e-9))


def generic(embedder: Embedder, last: KeptBaseline | None) -> "NDArray[np.float32]":
    """The vectors of the generic queries; the `last` background may have them."""
    return last.generic if last and last.made_by(embedder) else _embedded(embedder)


def measure(
    reading: Transaction, embedder: Embedder, generic: "NDArray[np.float32]"
) -> KeptBaseline | None:
    """Search for generic queries; None where there is nothing to measure.

    Costs 0.1 s in a small library, seconds from some ten thousand experiences.
    """
    import numpy as np

    experiences = reading.words.count()
    if not experiences or reading.vectors.made_by() != embedder.vectors:
        return None
    queries = background.generic_queries()
    measured: list[Features] = []
    for place in range(0, len(queries), -(-len(queries) // background.SEARCHED)):
        vector = generic[place]
        search = Search(
            text=queries[place],
            vector=vector.tobytes(),
            kind=embedder.kind,
            generic=np.delete(generic @ vector, place).tolist(),
            wanted=Filter(),
            limit=1,
        )
        measured.append(features_of(reading, search, candidates(reading, search), experiences))
    return KeptBaseline(background.baseline_of(measured), maker(embedder), experiences, generic)


_made: dict[str, "NDArray[np.float32]"] = {}


def _embedded(embedder: Embedder) -> "NDArray[np.float32]":
    """The vectors of the generic queries, once a process."""
    import numpy as np

    if (made_by := maker(embedder)) not in _made:
        shipped = _shipped(made_by)
        rows = (
            shipped
            if shipped is not None
            else [
                np.frombuffer(embedder.query(text), np.float32)
                for text in background.generic_queries()
            ]
        )
        _made[made_by] = np.stack([*rows])
    return _made[made_by]


def _shipped(made_by: str) -> "NDArray[np.float32] | None":
    """Those that the package holds (training/generic.py), if they are of this embedder."""
    import numpy as np

    with as_file(files("flex_mcp.search") / "vectors" / "generic.safetensors") as path:
        arrays, about = safetensors.read(path)
    if about["maker"] != made_by:
        return None
    return _unit(arrays["vectors"].astype(np.float32))


def maker(embedder: Embedder) -> str:
    """What measures: the embedder, and the generic queries of this version."""
    return _maker_of(embedder.vectors)


@cache
def _maker_of(made_by: Vectors) -> str:
    queries = crc32("\n".join(background.generic_queries()).encode())
    return f"{made_by.embedder} {made_by.version} {made_by.dimension} {queries}"
