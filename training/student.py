"""The student: one vector a token, whose mean over a text says what the teacher says of it.

A ridge regression gives the start, a distillation in batches the rest. Gradients are written out:
there is one matrix to train, and NumPy needs no deep-learning framework for it.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bags import Bags, Matrix, bags
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import NFD, NFKC, Lowercase, Replace, StripAccents
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Digits, Punctuation, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.trainers import WordPieceTrainer

TOKENS = 32_000
DIMENSIONS = 256
RARE = 1e-4  # smoothing of the weights by frequency: of the tokens' own teacher vectors
COMMON = 1e-3  # and of the regression's result
RIDGE = 0.1
STEPS = 30  # of conjugate gradients


@dataclass(frozen=True, slots=True)
class Distillation:
    """How the student is trained."""

    passes: int = 6
    batch: int = 2_048
    rate: float = 4e-3
    temperature: float = 0.05
    seed: int = 1


def tokenizer(texts: Sequence[str]) -> Tokenizer:
    """WordPiece, lower case, camelCase and digits apart."""
    made = Tokenizer(WordPiece(unk_token="[UNK]", max_input_chars_per_word=64))  # noqa: S106
    made.normalizer = Normalizers(
        [NFKC(), Replace(Regex("(?<=[a-z0-9])(?=[A-Z])"), " "), Lowercase(), NFD(), StripAccents()]
    )
    made.pre_tokenizer = PreTokenizers([WhitespaceSplit(), Punctuation(), Digits()])
    trainer = WordPieceTrainer(vocab_size=TOKENS, special_tokens=["[UNK]"], show_progress=False)
    made.train_from_iterator(texts, trainer)
    return made


def pieces(made: Tokenizer) -> list[str]:
    """The text of each token, by its number."""
    vocabulary = made.get_vocab()
    return [piece.removeprefix("##") for piece in sorted(vocabulary, key=vocabulary.__getitem__)]


@dataclass(frozen=True, slots=True)
class Embed:
    """Texts to unit vectors, as the product makes them; all zero where no token is known."""

    tokenizer: Tokenizer
    rows: Matrix

    def __call__(self, texts: Sequence[str]) -> Matrix:
        return unit(bags(self.tokenizer, texts).sums(self.rows))


def unit(rows: Matrix) -> Matrix:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def start(counts: Bags, targets: Matrix, tokens: Matrix) -> Matrix:
    """The ridge regression of the texts' vectors on their tokens, from the tokens' own vectors.

    Args:
        counts: of each text's tokens.
        targets: the texts' teacher vectors.
        tokens: the teacher vector of each token.
    """
    _, axes = np.linalg.eigh(targets.T @ targets)
    axes = axes[:, ::-1][:, :DIMENSIONS]
    share = counts.shares()[:, None]
    first = ((tokens @ axes) * (RARE / (RARE + share))).astype(np.float32)
    means = counts.means()
    rows = first + _ridge(means, targets @ axes - means.sums(first))
    return (rows * (COMMON / (COMMON + share))).astype(np.float32)


def _ridge(means: Bags, wanted: Matrix) -> Matrix:
    """Conjugate gradients, each column by itself, all at once."""
    found = np.zeros((means.tokens, wanted.shape[1]), np.float32)
    rest = means.spread(wanted)
    way, size = rest.copy(), np.sum(rest**2, axis=0)
    for _ in range(STEPS):
        turned = means.spread(means.sums(way)) + RIDGE * way
        stride = size / np.maximum(np.sum(way * turned, axis=0), 1e-12)
        found += stride * way
        rest -= stride * turned
        before, size = size, np.sum(rest**2, axis=0)
        way = rest + (size / np.maximum(before, 1e-12)) * way
    return found


def distil(rows: Matrix, counts: Bags, targets: NDArray[np.float16], how: Distillation) -> Matrix:
    """Bring the student's similarities within a batch near the teacher's: Adam, falling rate."""
    rows = rows.copy()
    how = replace(how, batch=min(how.batch, len(counts)))
    mean, square = np.zeros_like(rows), np.zeros_like(rows)
    chance, whole = np.random.default_rng(how.seed), len(counts) // how.batch
    steps = how.passes * whole
    orders = (chance.permutation(len(counts)) for _ in range(how.passes))
    batches = (order[at * how.batch :][: how.batch] for order in orders for at in range(whole))
    for step, batch in enumerate(batches):
        wanted = unit(targets[batch].astype(np.float32))
        loss, slope = _slope(rows, counts.some(batch), wanted, how.temperature)
        _adam(rows, mean, square, slope, rate=how.rate * (1 - step / steps), step=step + 1)
        if step % 100 == 0:
            print(f"step {step:,} of {steps:,}: {loss:.4f}", flush=True)
    return rows


def _slope(rows: Matrix, own: Bags, wanted: Matrix, temperature: float) -> tuple[float, Matrix]:
    """The divergence of the student's similarities from the teacher's, and its slope by row."""
    summed = own.sums(rows)
    lengths = np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9)
    vectors = summed / lengths
    teacher: Matrix = _softmax(wanted @ wanted.T, temperature)
    student: Matrix = _softmax(vectors @ vectors.T, temperature)
    loss = float((teacher * np.log((teacher + 1e-9) / (student + 1e-9))).sum() / len(student))
    student -= teacher
    student /= temperature * len(student)
    by_vector = (student + student.T) @ vectors
    by_sum = by_vector - np.sum(by_vector * vectors, axis=1, keepdims=True) * vectors
    return loss, own.spread(by_sum / lengths)


def _softmax(alike: Matrix, temperature: float) -> Matrix:
    """Over the others of the batch, in place."""
    np.fill_diagonal(alike, -np.inf)
    alike -= alike.max(axis=1, keepdims=True)
    alike /= temperature
    np.exp(alike, out=alike)
    alike /= alike.sum(axis=1, keepdims=True)
    return alike


def _adam(
    rows: Matrix, mean: Matrix, square: Matrix, slope: Matrix, *, rate: float, step: int
) -> None:
    """One step, in place, by blocks that fit the processor's cache."""
    rate *= float(np.sqrt(1 - 0.999**step)) / (1 - 0.9**step)
    for at in range(0, len(rows), 512):
        part = slice(at, at + 512)
        mean[part] += 0.1 * (slope[part] - mean[part])
        square[part] += 0.001 * (slope[part] ** 2 - square[part])
        rows[part] -= rate * mean[part] / (np.sqrt(square[part]) + 1e-8)


def quantised(rows: Matrix) -> tuple[NDArray[np.int8], Matrix]:
    """Rows in 8 bits, and the scale of each."""
    scales = np.maximum(np.abs(rows).max(axis=1), 1e-9) / 127
    return np.rint(rows / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def write(path: Path, rows: Matrix, about: Mapping[str, str]) -> None:
    """The safetensors file that the product reads."""
    small, scales = quantised(rows)
    first, second = scales.nbytes, scales.nbytes + small.nbytes
    header = {
        "__metadata__": dict(about),
        "scales": {"dtype": "F32", "shape": scales.shape, "data_offsets": [0, first]},
        "vectors": {"dtype": "I8", "shape": small.shape, "data_offsets": [first, second]},
    }
    pack(path, header, scales.tobytes() + small.tobytes())


def pack(path: Path, header: Mapping[str, Any], data: bytes) -> None:
    """A safetensors file."""
    packed = json.dumps(header, separators=(",", ":")).encode()
    packed += b" " * (-len(packed) % 8)
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data)


def read(path: Path) -> tuple[Matrix, dict[str, str]]:
    """The rows of such a file, and its notes."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    data = raw[8 + length :]
    first, second = header["vectors"]["data_offsets"]
    scales = np.frombuffer(data, np.float32, header["scales"]["shape"][0])
    small = np.frombuffer(data[first:second], np.int8).reshape(header["vectors"]["shape"])
    return small * scales[:, None], header["__metadata__"]
