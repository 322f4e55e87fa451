"""The encoder: a small transformer over the static token vectors, and their sum beside it.

`vectors/encoder.safetensors` holds its matrices, int8 with a float32 scale a row;
training/README.md says how they are made. Pre-norm layers without biases. A text's vector has two
parts: what the transformer reads in context, the mean over the tokens, narrowed; and the sum of
their static vectors, which knows more words. `SHARE` says what the first counts.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
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
        import numpy as np

        if not text:
            return np.zeros(self.dimension, np.float32)
        parts = self._read(text[: self.window]), self._tokens.vectors(text).sum(axis=0)
        shares = SHARE, 1 - SHARE
        return np.concatenate(
            [unit(part) * share**0.5 for part, share in zip(parts, shares, strict=True)]
        )

    def _read(self, text: Sequence[int]) -> "Floats":
        """What the transformer makes of tokens."""
        import numpy as np

        found = [*text]
        corrections = self._arrays["correction"][found].astype(np.float32)
        corrections *= self._arrays["correction_scales"][found, None]
        hidden: Floats = self._tokens.vectors(found) * self._scale
        hidden += corrections @ self._widen
        hidden += self._places[: len(found)]
        for layer in self._layers:
            hidden += _seen(_normed(hidden) @ layer.look) @ layer.gather
            hidden += _gelu(_normed(hidden) @ layer.rise) @ layer.sink
        return np.asarray(hidden.mean(axis=0) @ self._project, np.float32)


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
    weights /= weights.sum(axis=2, keepdims=True)
    return (weights @ value).transpose(1, 0, 2).reshape(length, width)


def _gelu(x: "Floats") -> "Floats":
    """The form with tanh, as it was trained."""
    import numpy as np

    inner = x * x
    inner *= 0.044715
    inner += 1
    inner *= x
    inner *= 0.7978845608
    np.tanh(inner, out=inner)
    inner += 1
    inner *= x
    inner *= 0.5
    return inner


@cache
def encoder() -> Encoder:
    return Encoder()
