"""The tokens that we learned vectors for, and how alike texts are, token by token.

`vectors/vectors.safetensors` holds int8 rows and a float32 scale for each; it is memory-mapped, so
that a process reads only the rows of the tokens it meets. The length of a token's vector says how
much it tells (training/README.md).
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, NamedTuple

from flex_mcp.search import safetensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

UNKNOWN = 0  # the token of all that the tokenizer does not know: it says nothing
ASKED, TOLD, HEADING_ASKED, HEADING_TOLD, BESIDE, HEADING = range(6)  # parts of a likeness
PARTS = (1.0, 1.0, 0.2, 0.2, 0.8, 0.0)  # what each counts in the whole
FIT_PARTS = (ASKED, TOLD, HEADING_ASKED, HEADING_TOLD, HEADING)  # what tells whether it fits
LONGEST = 64  # tokens of a query that are compared: those that tell the most
TINY = 1e-9  # nothing is divided by 0
RECENT = 600  # texts whose tokens are remembered: what is embedded is stored right after


class Tokens:
    """A tokenizer and its vectors; `tokens()` gives the one of the process."""

    def __init__(self) -> None:
        import numpy as np
        from tokenizers import Tokenizer

        folder = files("flex_mcp.search") / "vectors"
        with as_file(folder / "vectors.safetensors") as path:
            arrays, about = safetensors.read(path)
        self._rows, self._scales = arrays["vectors"], arrays["scales"]
        self._norms = np.zeros(len(self._rows), np.float32)  # of rows that were met
        self._tokenizer = Tokenizer.from_str(
            (folder / "tokenizer.json").read_text(encoding="utf-8")
        )
        self.of = lru_cache(RECENT)(self._of)
        self.version = about["version"]
        self.layout = f"{self.version} heading"  # of what `kept` gives
        self.dimension = int(self._rows.shape[1])

    def _of(self, text: str) -> list[int]:
        found = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [token for token in found if token != UNKNOWN]

    def vectors(self, found: Sequence[int]) -> "Floats":
        """The vectors of some tokens, a row each."""
        import numpy as np

        return self._rows[[*found]].astype(np.float32) * self._scales[[*found], None]

    def total(self, text: str) -> "Floats":
        """The sum of the vectors of a text's tokens."""
        import numpy as np

        found = self.of(text)
        return self._scales[found] @ self._rows[found].astype(np.float32)

    def kept(self, title: str, text: str) -> bytes:
        """The tokens of a title and a text as they are stored: two bytes each, after a count."""
        import numpy as np

        of_title = self.of(title)
        return np.array([len(of_title), *of_title, *self.of(text)], np.uint16).tobytes()

    def likeness(self, query: str, kept: Sequence[bytes]) -> "Floats":
        """How alike each of some texts (as `kept` gives them) is to a query: a row each, of parts.

        Each token of the query counts with the cosine of the nearest one in the text (`ASKED`),
        and each token of the text with that of the nearest one in the query (`TOLD`), each 0 to 1;
        the same of the heading alone; the share of what stands beside each other in the query
        that does so in the text; and the cosine of the heading's tokens with the query's. A token
        weighs as much as its vector is long, and more where few of these texts hold it.
        `PARTS` weighs the parts for the whole likeness.
        """
        import numpy as np

        asked = self.of(query)
        texts = _Texts.of(kept)
        if not len(asked) or not len(texts.tokens):
            return np.zeros((len(kept), len(PARTS)), np.float32)
        documents = np.bincount(texts.tokens, minlength=len(self._rows))
        known = np.flatnonzero(documents)
        places = np.zeros_like(documents)
        places[known] = np.arange(len(known))
        places = places[texts.tokens]
        held = texts.holding(places, len(known))
        documents[known] = held.sum(axis=0)
        query_tokens = self._weighed(np.array(sorted({*asked})), documents, len(kept))
        text_tokens = self._weighed(known, documents, len(kept))
        most = query_tokens.heaviest(LONGEST)
        of_titles = texts.titles().holding(places[texts.in_title], len(known))
        with np.errstate(invalid="ignore"):  # BLAS may say so of lanes that it does not use
            cosines = most.cosines(text_tokens)
            whole = _both_ways(held, cosines, most.weights, text_tokens.weights)
            heading = _both_ways(of_titles, cosines, most.weights, text_tokens.weights)
            beside = self._beside(asked, texts, query_tokens)
            near = self._near(query_tokens, text_tokens, of_titles)
        return np.column_stack((*whole.T, *heading.T, beside, near))

    def _weighed(self, chosen: "Ints", documents: "Ints", texts: int) -> "_Weighed":
        import numpy as np

        rows = self._rows[chosen].astype(np.float32)
        new = self._norms[chosen] == 0
        self._norms[chosen[new]] = np.linalg.norm(rows[new], axis=1) + TINY
        norms = self._norms[chosen]
        holding = documents[chosen]
        rarity = np.sqrt(np.log1p((texts - holding + 0.5) / (holding + 0.5))).astype(np.float32)
        return _Weighed(chosen, rows, norms, norms * self._scales[chosen] * rarity)

    def _near(self, query: "_Weighed", known: "_Weighed", held: "Bools") -> "Floats":
        """The cosine of the query's sum of vectors with that of the tokens that each text holds."""
        import numpy as np

        found = np.zeros(len(held), np.float32)
        lengths = held.sum(axis=1)
        if len(present := np.flatnonzero(lengths)):
            chosen = np.nonzero(held)[1]
            rows = known.vectors[chosen] * self._scales[known.tokens[chosen], None]
            sums = np.add.reduceat(rows, (lengths.cumsum() - lengths)[present])
            asked = self._scales[query.tokens] @ query.vectors
            norms = np.linalg.norm(sums, axis=1) * np.linalg.norm(asked)
            found[present] = sums @ asked / (norms + TINY)
        return found

    def _beside(self, asked: Sequence[int], texts: "_Texts", of_query: "_Weighed") -> "Floats":
        """The share of the query's neighbouring tokens that are neighbours in each text too."""
        import numpy as np

        number = len(of_query.tokens)
        places = np.full(len(self._rows), -1)
        places[of_query.tokens] = np.arange(number)
        pairs, _ = _pairs(places[asked], np.zeros(len(asked), np.int64), number)
        wanted = np.array(sorted({*pairs.tolist()}), np.int64)
        if not len(wanted):
            return np.zeros(texts.number, np.float32)
        parts = texts.owners << 1 | texts.in_title
        found, where = _pairs(places[texts.tokens], parts, number)
        at = np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)
        same = wanted[at] == found
        held = np.zeros((texts.number, len(wanted)), np.float32)
        held[where[same] >> 1, at[same]] = 1
        weights = of_query.weights[wanted // number] * of_query.weights[wanted % number]
        return held @ weights / (weights.sum() + TINY)


class _Weighed(NamedTuple):
    """Tokens, their vectors and the lengths of these, and what each weighs."""

    tokens: "Ints"
    vectors: "Floats"
    norms: "Floats"
    weights: "Floats"

    def heaviest(self, number: int) -> "_Weighed":
        most = (-self.weights).argsort(kind="stable")[:number]
        return _Weighed(self.tokens[most], self.vectors[most], self.norms[most], self.weights[most])

    def cosines(self, others: "_Weighed") -> "Floats":
        """With other tokens, a column each; none is below 0."""
        import numpy as np

        products = (self.vectors / self.norms[:, None]) @ others.vectors.T
        return np.maximum(products / others.norms, 0)


class _Texts(NamedTuple):
    """The tokens of some texts, one text after the other: whose they are, and if of its title."""

    number: int
    owners: "Ints"
    tokens: "Ints"
    in_title: "Bools"

    @classmethod
    def of(cls, kept: Sequence[bytes]) -> "_Texts":
        import numpy as np

        arrays = [np.frombuffer(one, np.uint16) for one in kept]
        lengths = np.array([len(one) - 1 for one in arrays], np.int64)
        titles = np.array([one[0] for one in arrays], np.int64)
        flat = np.concatenate([one[1:] for one in arrays] or [np.zeros(0, np.uint16)])
        owners = np.repeat(np.arange(len(kept)), lengths)
        places = np.arange(len(flat)) - np.repeat(lengths.cumsum() - lengths, lengths)
        return cls(len(kept), owners, flat.astype(np.int64), places < titles[owners])

    def titles(self) -> "_Texts":
        only = self.in_title
        return _Texts(self.number, self.owners[only], self.tokens[only], only[only])

    def holding(self, places: "Ints", known: int) -> "Bools":
        """Which text holds which of the known tokens; `places` are those of its tokens there."""
        import numpy as np

        held = np.zeros((self.number, known), np.bool_)
        held[self.owners, places] = True
        return held


def _both_ways(held: "Bools", cosines: "Floats", wanted: "Floats", telling: "Floats") -> "Floats":
    """How far each text answers the query, and the query it: a row each, both 0 to 1.

    Args:
        held: which text holds which token.
        cosines: of the query's tokens with these, which are the columns.
        wanted: what the query's tokens weigh.
        telling: what the texts' tokens weigh.
    """
    import numpy as np

    scores = np.zeros((len(held), 2), np.float32)
    lengths = held.sum(axis=1)
    present = np.flatnonzero(lengths)
    if len(present):
        starts = (lengths.cumsum() - lengths)[present]
        of_texts = cosines.take(np.nonzero(held)[1], axis=1)
        nearest = np.maximum.reduceat(of_texts, starts, axis=1)
        share = held[present].astype(np.float32)
        scores[present, 0] = wanted @ nearest / (wanted.sum() + TINY)
        scores[present, 1] = share @ (cosines.max(axis=0) * telling) / (share @ telling + TINY)
    return scores


def _pairs(places: "Ints", parts: "Ints", number: int) -> "tuple[Ints, Ints]":
    """Tokens of one part with the next and the next but one, and the parts that they are of.

    Args:
        places: of the tokens, one after the other; negative for those that do not count.
        parts: whose each token is.
        number: of places: a pair is the first one's times this, and the second one's.
    """
    import numpy as np

    pairs: list[Ints] = []
    where: list[Ints] = []
    for gap in (1, 2):
        first, second = places[:-gap], places[gap:]
        inside = (first >= 0) & (second >= 0) & (parts[gap:] == parts[:-gap])
        pairs.append(first[inside] * number + second[inside])
        where.append(parts[gap:][inside])
    return np.concatenate(pairs), np.concatenate(where)


@cache
def tokens() -> Tokens:
    return Tokens()
