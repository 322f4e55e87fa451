"""Vectors as signatures: one bit a direction, two random rotations of the vector's space.

Hamming distances of signatures follow the angle between vectors and cost a hundredth of reading
these; what they put in front is estimated closer with the query as it is, and the best of that is
compared exactly (docs/retrieval.md has the recall of both steps). Pure functions over arrays.
"""

from functools import cache
from hashlib import shake_256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROTATIONS = 2  # one alone finds 0.92 of the ten nearest of 100,000 where two find 0.99
SMALLEST = 64  # bits of a rotation: signatures are compared by whole 64-bit words


def size(dimension: int) -> int:
    """Bytes of a signature."""
    return ROTATIONS * _side(dimension) // 8


def _side(dimension: int) -> int:
    return max(SMALLEST, 1 << (dimension - 1).bit_length())


@cache
def rotation(dimension: int) -> "NDArray[np.float32]":
    """The directions as columns: Hadamard matrices whose rows have fixed random signs.

    Files keep signatures, so it must never change: its signs come from a hash, not a generator.
    """
    side = _side(dimension)
    hadamard = np.ones((1, 1), np.float32)
    while len(hadamard) < side:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    drawn = shake_256(b"flex-mcp").digest(ROTATIONS * side // 8)
    signs = 1 - 2 * np.unpackbits(np.frombuffer(drawn, np.uint8)).astype(np.float32)
    turned = [(hadamard * row)[:, :dimension] for row in signs.reshape(ROTATIONS, side)]
    return np.concatenate(turned).T


def signatures(vectors: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """A row of bytes for each row."""
    return np.packbits(vectors @ rotation(vectors.shape[1]) > 0, axis=1)


def distances(held: "NDArray[np.uint64]", signature: "NDArray[np.uint8]") -> "NDArray[np.uint16]":
    """Hamming distances; `held` has a row for each 64-bit word and a column for each signature."""
    words = signature.view(np.uint64)
    total = np.zeros(held.shape[1], np.uint16)
    for row, word in zip(held, words, strict=True):
        total += np.bitwise_count(row ^ word)
    return total


def estimates(held: "NDArray[np.uint64]", query: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """What grows with the cosines: the query's share in the directions of each signature.

    `held` is as in `distances`; `query` is the vector itself.
    """
    share = (query @ rotation(len(query))).reshape(-1, 8)
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
    by_byte = share @ bits.T  # what each value of each byte adds
    rows = np.ascontiguousarray(held.T).view(np.uint8)
    places = rows + np.arange(0, by_byte.size, 256, dtype=np.int32)
    return by_byte.take(places).sum(axis=1)  # by one flat index: twice as fast as by two
