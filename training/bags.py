"""Texts as counts of their tokens: a sparse matrix behind a few typed words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]
from tokenizers import Tokenizer

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bags:
    """How often each token stands in each text."""

    counts: Any  # scipy has no types

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    @property
    def tokens(self) -> int:
        """The size of the vocabulary."""
        return int(self.counts.shape[1])

    def some(self, texts: NDArray[np.int64]) -> "Bags":
        return Bags(self.counts[texts])

    def sums(self, rows: Matrix) -> Matrix:
        """Of each text, the sum of its tokens' rows."""
        return self.counts @ rows

    def spread(self, rows: Matrix) -> Matrix:
        """Of each token, the sum of the rows of its texts: the slope of `sums`."""
        return self.counts.T @ rows

    def means(self) -> "Bags":
        """The same with each text's counts divided by its length."""
        lengths = np.maximum(np.asarray(self.counts.sum(axis=1)), 1)
        return Bags(self.counts.multiply(1 / lengths[:, None]).tocsr())

    def shares(self) -> Matrix:
        """Of each token, its share of all."""
        total = np.asarray(self.counts.sum(axis=0))
        return (total / total.sum()).astype(np.float32)


def bags(tokenizer: Tokenizer, texts: Sequence[str]) -> Bags:
    ids = [one.ids for one in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    ends = np.cumsum([0, *map(len, ids)])
    columns = np.fromiter((id_ for one in ids for id_ in one), np.int32, ends[-1])
    shape = len(ids), tokenizer.get_vocab_size()
    counts = csr_array((np.ones(len(columns), np.float32), columns, ends), shape=shape)
    counts.sum_duplicates()
    return Bags(counts)
