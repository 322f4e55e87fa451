"""The encoder: a small transformer over the static token vectors, and their sum beside it.

`vectors/encoder.safetensors` holds its matrices, int8 with a float32 scale a row;
training/README.md says how they are made. Pre-norm layers without biases. A text's vector has two
parts: what the transformer reads in context, the mean over the tokens, narrowed; and the sum of
their static vectors, which knows more words. `SHARE` says what the first counts.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from flex_mcp.search import safetensors
from flex_mcp.search.token_match import tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HEADS = 8
SHARE = 0.5  # of the cosine of two texts
EPSILON = 1e-6


class Layer(NamedTuple):
    """Attention (`look` gives queries, keys and values; `gather`), then `rise`, GELU, `sink`."""

    look: "Floats"
    gather: "Floats"
    rise: "Floats"
    sink: "Floats"


class Encoder:
    """Texts to unit vectors; `encoder()` gives the one of the process."""

    def __init__(self) -> None:
        with as_file(files("flex_mcp.search") / "vectors" / "encoder.safetensors") as path:
            self._arrays, about = safetensors.read(path)
        self.version = about["version"]
        self._tokens = tokens()
        self._scale = float(about["scale"])
        self._places = self._matrix("places")
        self._widen = self._matrix("widen")
        self._project = self._matrix("project")
        self._layers = [
            Layer(*(self._matrix(f"{name}{number}") for name in Layer._fields))
            for number in range(int(about["layers"]))
        ]
        self.dimension = int(self._project.shape[1]) + self._tokens.dimension
        self.window = len(self._places)

    def _matrix(self, name: str) -> "Floats":
        """Of float32, to be multiplied from the right."""
        import numpy as np

        whole = self._arrays[name].astype(np.float32) * self._arrays[f"{name}_scales"][:, None]
        return np.ascontiguousarray(whole.T if name != "places" else whole)

    def encode(self, text: Sequence[int]) -> "Floats":
        """The unit vector of a text's tokens, of which the first `window` are read in context.

        Zeros where there is none.
        """
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[Sequence[int]]) -> "list[Floats]":
        """Those of several texts, read side by side: each matrix is fetched once for all of them.

        Company changes a vector in its last digits only.
        """
        import numpy as np

        said = [text for text in texts if text]
        read = iter(self._read([text[: self.window] for text in said]) if said else ())
        shares = SHARE, 1 - SHARE

        def joined(text: Sequence[int]) -> "Floats":
            parts = next(read), self._tokens.vectors(text).sum(axis=0)
            return np.concatenate(
                [unit(part) * share**0.5 for part, share in zip(parts, shares, strict=True)]
            )

        return [joined(text) if text else np.zeros(self.dimension, np.float32) for text in texts]

    def _read(self, texts: Sequence[Sequence[int]]) -> "Floats":
        """What the transformer makes of tokens: a row a text."""
        import numpy as np

        found = [token for text in texts for token in text]
        ends = [*accumulate(map(len, texts))]
        each = [slice(end - len(text), end) for text, end in zip(texts, ends, strict=True)]
        corrections = self._arrays["correction"][found].astype(np.float32)
        corrections *= self._arrays["correction_scales"][found, None]
        hidden: Floats = self._tokens.vectors(found) * self._scale
        hidden += corrections @ self._widen
        hidden += np.concatenate([self._places[: len(text)] for text in texts])
        *layers, last = self._layers
        for layer in layers:
            hidden += _risen(hidden, layer, each) @ layer.sink
        # What sinks of a mean is the mean of what sinks: the last layer multiplies a row a text.
        risen = _means(_risen(hidden, last, each), each)
        return np.asarray((_means(hidden, each) + risen @ last.sink) @ self._project, np.float32)


def _risen(hidden: "Floats", layer: Layer, texts: Sequence[slice]) -> "Floats":
    """What a layer makes of tokens before it sinks; what each sees of the others is added to it."""
    import numpy as np

    looked = _normed(hidden) @ layer.look
    hidden += np.concatenate([_seen(looked[one]) for one in texts]) @ layer.gather
    return _gelu(_normed(hidden) @ layer.rise)


def _means(rows: "Floats", texts: Sequence[slice]) -> "Floats":
    """Of the rows of each text."""
    import numpy as np

    return np.stack([rows[one].mean(axis=0) for one in texts])


def unit(vector: "NDArray[Any]") -> "Floats":
    """A vector at length 1; zeros stay."""
    import numpy as np

    single = np.asarray(vector, np.float32)
    length = float(np.linalg.norm(single))
    return single / length if length else single


def _normed(hidden: "Floats") -> "Floats":
    import numpy as np

    return hidden / np.sqrt(np.mean(hidden * hidden, axis=1, keepdims=True) + EPSILON)


def _seen(parts: "Floats") -> "Floats":
    """What each token takes from all of them, head by head."""
    import numpy as np

    length, width = len(parts), parts.shape[1] // 3
    by_head = parts.reshape(length, 3, HEADS, width // HEADS).transpose(1, 2, 0, 3)
    query, key, value = by_head
    weights = (query * (width // HEADS) ** -0.5) @ key.transpose(0, 2, 1)
    weights -= weights.max(axis=2, keepdims=True)
    np.exp(weights, out=weights)
    seen = weights @ value / weights.sum(axis=2, keepdims=True)
    return seen.transpose(1, 0, 2).reshape(length, width)


def _gelu(x: "Floats") -> "Floats":
    """The form with tanh, as it was trained, by one exponential: x / (1 + exp(-2 u))."""
    import numpy as np

    made = x * x
    made *= -2 * 0.7978845608 * 0.044715
    made -= 2 * 0.7978845608
    made *= x
    with np.errstate(over="ignore"):  # far below zero it is infinite, and the quotient 0
        np.exp(made, out=made)
    made += 1
    np.divide(x, made, out=made)
    return made


@cache
def encoder() -> Encoder:
    return Encoder()
