"""The Embedder seam, the two that are built in, and any model of fastembed.

Embedders are named `ours`, `static` and `fastembed:MODEL`. They load late, in a worker thread:
nothing here imports a model, tokenizers, fastembed or numpy before the first vector is wanted. No
network, unless `fetch` says that the user asked for it.
"""

import contextlib
import platform
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from flex_mcp.errors import EmbedderError
from flex_mcp.models import Vectors
from flex_mcp.search import model_files
from flex_mcp.search.encoder import encoder, unit
from flex_mcp.search.model_files import Model
from flex_mcp.search.token_match import tokens
from flex_mcp.settings import no_telemetry

OURS, STATIC = "ours", "static"
BUILT_IN = OURS, STATIC
DEFAULT = OURS  # of a new library
FASTEMBED = "fastembed:"
PYTHON = "python:"  # an object that Python code brings (own_embedder.py)
TOGETHER = 8  # chunks that the encoder reads side by side; of more, memory is fetched each time
WINDOW = 180  # words of a chunk: they fit the 256 tokens of the smallest models


class Embedder(Protocol):
    """Texts to unit vectors.

    `vectors` names what it makes; `kind` says by which weights it is searched (fit.json). From a
    cosine of `near_duplicate` two texts of one zone and level may say the same
    (`duplicates.same_claim` must agree), from `related` they are worth a look;
    benchmarks/duplicates.py measures both.
    """

    vectors: Vectors
    kind: str
    near_duplicate: float
    related: float

    def query(self, text: str) -> bytes:
        """The float32 vector of a query; all zero where no token is known."""
        ...

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:
        """The float32 vectors of each text, one a chunk of at most the model's window.

        Those of its heading (title and `when`), one for each text, follow where the embedder makes
        such: a short task is nearer to it than to the whole.
        """
        ...


class OurEmbedder:
    """The default: an encoder of our own, which needs no download (docs/retrieval.md)."""

    kind = "ours"
    near_duplicate = 0.95
    related = 0.5

    def __init__(self) -> None:
        self._tokens, self._encoder = tokens(), encoder()
        self.vectors = Vectors(
            embedder=OURS, version=self._encoder.version, dimension=self._encoder.dimension
        )

    def query(self, text: str) -> bytes:
        return self._encoder.encode(self._tokens.of(text)).tobytes()

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:
        cut = [self._chunks(text) for text in texts]
        for chunks_, heading in zip(cut, headings, strict=False):
            chunks_.append(self._tokens.of(heading))
        made = iter(self._encoded([chunk for chunks_ in cut for chunk in chunks_]))
        return [[next(made) for _ in chunks_] for chunks_ in cut]

    def _chunks(self, text: str) -> list[Sequence[int]]:
        """The tokens of a text, in equal parts of at most the encoder's window."""
        found = self._tokens.of(text)
        parts = -(-len(found) // self._encoder.window) or 1
        length = -(-len(found) // parts)
        starts = range(0, max(len(found), 1), max(length, 1))
        return [found[start : start + length] for start in starts]

    def _encoded(self, chunks_: Sequence[Sequence[int]]) -> Iterator[bytes]:
        for start in range(0, len(chunks_), TOGETHER):
            for vector in self._encoder.encode_all(chunks_[start : start + TOGETHER]):
                yield vector.tobytes()


class StaticEmbedder:
    """The mean of learned token vectors: the default of older libraries (docs/retrieval.md)."""

    kind = "static"
    near_duplicate = 0.95
    related = 0.5

    def __init__(self) -> None:
        self._tokens = tokens()
        self.vectors = Vectors(
            embedder=STATIC, version=self._tokens.version, dimension=self._tokens.dimension
        )

    def query(self, text: str) -> bytes:
        return unit(self._tokens.total(text)).tobytes()

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:  # noqa: ARG002
        return [[self.query(text)] for text in texts]  # a mean has no window


class FastEmbedder:
    """A model of fastembed, one ONNX thread: twice as fast for a single query on small machines."""

    kind = "model"
    near_duplicate = 0.95
    related = 0.5

    def __init__(self, name: str, model: Model, folder: Path) -> None:
        self._model = _opened(model, folder)
        dimension = len(next(iter(self._model.query_embed("dimension"))))
        self.vectors = Vectors(embedder=name, version="1", dimension=dimension)

    def query(self, text: str) -> bytes:
        return unit(next(iter(self._model.query_embed(text)))).tobytes()

    def passages(self, texts: Sequence[str], headings: Sequence[str] = ()) -> list[list[bytes]]:  # noqa: ARG002
        # One at a time: on one thread a batch costs up to three times as much, for its padding, and
        # int8 models round by batch, so that a text would have a vector for every company.
        chunked = [chunks(text) for text in texts]
        flat = (chunk for chunks_ in chunked for chunk in chunks_)
        embedded = self._model.passage_embed(flat, batch_size=1)
        return [[unit(next(embedded)).tobytes() for _ in chunks_] for chunks_ in chunked]


def chunks(text: str, window: int = WINDOW) -> list[str]:
    """A text in pieces of at most `window` words; always at least one."""
    words = text.split()
    starts = range(0, max(len(words), 1), window)
    return [" ".join(words[start : start + window]) for start in starts]


def load(name: str, *, cache: Path, folder: Path | None = None, fetch: bool = False) -> Embedder:
    """The embedder of this name.

    Args:
        name: `ours`, `static` or `fastembed:MODEL`.
        cache: where fetched models are kept.
        folder: a folder with the model's files; then nothing is looked up or fetched.
        fetch: whether a missing model may be fetched from the network.

    Raises:
        EmbedderError: there is no such embedder, or its model cannot be loaded; it says what to do.
    """
    if name == OURS:
        return OurEmbedder()
    if name == STATIC:
        return StaticEmbedder()
    check_name(name)
    model = find(name.removeprefix(FASTEMBED))
    if folder is not None:
        model_files.check_whole(model, folder)
        return FastEmbedder(name, model, folder)
    home = model_files.home(cache, model.name)
    if model.lacks(home):
        if not fetch:
            raise EmbedderError(_not_here(model))
        model_files.fetch(model, cache)
    return FastEmbedder(name, model, home)


def check_name(name: str) -> None:
    """Whether an embedder can have this name.

    Raises:
        EmbedderError: it cannot.
    """
    if name.startswith(PYTHON):
        raise EmbedderError(
            f"{name.removeprefix(PYTHON)!r} is an embedder of Python code, which alone has it: "
            "open the library there, or run `flex-mcp reindex --embedder ours`"
        )
    kind, _, model = name.partition(":")
    if name not in BUILT_IN and not (f"{kind}:" == FASTEMBED and model):
        raise EmbedderError(
            f"there is no embedder {name!r}: set FLEX_MCP_EMBEDDER to ours, static or "
            "fastembed:MODEL, such as fastembed:BAAI/bge-small-en-v1.5, and run `flex-mcp reindex`"
        )


def listed() -> list[Model]:
    """The models that fastembed knows; importing it takes most of a second.

    Raises:
        EmbedderError: it cannot be imported.
    """
    return [_model(one) for one in _text_embedding().list_supported_models()]


def _text_embedding() -> Any:
    no_telemetry()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints, and stdout is the protocol's
            from fastembed import TextEmbedding
            from loguru import logger
    except ImportError as error:
        raise EmbedderError(_not_imported()) from error
    logger.disable("fastembed")  # what it logs, the error says once and better
    return TextEmbedding


def _model(about: Mapping[str, Any]) -> Model:
    weights: str = about["model_file"]
    config = ("tokenizer_config.json",) if weights.endswith(".onnx") else ()
    return Model(
        name=about["model"],
        source=about["sources"]["hf"] or "",
        files=("tokenizer.json", *config, *about["additional_files"], weights),
        megabytes=round(about["size_in_GB"] * 1000),
        dimension=about["dim"],
    )


def find(name: str) -> Model:
    """The model of this name, in any case.

    Raises:
        EmbedderError: fastembed knows none of this name; it says which are near.
    """
    models = listed()
    found = [model for model in models if model.name.casefold() == name.casefold()]
    if not found:
        raise EmbedderError(_unknown(name, models))
    return found[0]


def resolve(text: str) -> str:
    """The name of the embedder that a user means; of a model the last part is enough.

    Raises:
        EmbedderError: there is no such model, or several; it says which are near.
    """
    if text.casefold() in BUILT_IN:
        return text.casefold()
    name = text.removeprefix(FASTEMBED)
    models = listed()
    wanted = name.casefold()
    for given in (str.casefold, _last_part):
        found = [model for model in models if given(model.name) == wanted]
        if len(found) == 1:
            return FASTEMBED + found[0].name
    raise EmbedderError(_unknown(name, models))


def _last_part(name: str) -> str:
    return name.casefold().rpartition("/")[2]


def _unknown(name: str, models: Sequence[Model]) -> str:
    import difflib

    by_part = {form(one.name): one.name for one in models for form in (str.casefold, _last_part)}
    near = difflib.get_close_matches(name.casefold(), by_part, cutoff=0.5)
    names = list(dict.fromkeys(by_part[one] for one in near)) or ["BAAI/bge-small-en-v1.5"]
    return (
        f"fastembed knows no model {name!r}: take {' or '.join(names)}, "
        "or another that `flex-mcp embedder list --all` names"
    )


def _opened(model: Model, folder: Path) -> Any:
    text_embedding = _text_embedding()
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what we chose
            return text_embedding(
                model.name,
                cache_dir=str(folder),  # nothing is put there; it would make one of its own
                threads=1,
                specific_model_path=str(folder),
                local_files_only=True,
            )
    except Exception as error:  # fastembed and ONNX Runtime raise what they like
        raise EmbedderError(
            f"the model {model.name!r} cannot be loaded from {folder}: its files are damaged or of "
            f"another model; get them anew and run `flex-mcp embedder use {model.name}` again"
        ) from error


def _not_imported() -> str:
    stay = "or set FLEX_MCP_EMBEDDER=ours and run `flex-mcp reindex`"
    machine = platform.system(), platform.machine()
    if machine == ("Darwin", "x86_64") and sys.version_info >= (3, 14):  # as in pyproject.toml
        return (
            "fastembed does not run on a Mac with an Intel processor under Python 3.14 or newer, "
            f"for which there is no ONNX Runtime: take Python 3.11 to 3.13, {stay}"
        )
    return (
        "fastembed cannot be imported here: install flex-mcp again with all that it depends on, "
        f"{stay}"
    )


def _not_here(model: Model) -> str:
    return (
        f"the model {model.name!r} is not on this machine: run "
        f"`flex-mcp embedder use {model.name}` with a network to fetch it, or add --path FOLDER "
        "where its files are"
    )
