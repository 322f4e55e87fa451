"""The embedders that a library may use, and going over to one of them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flex_mcp.errors import EmbedderError, InputError, SettingError
from flex_mcp.models import Vectors
from flex_mcp.search import embedder, model_files
from flex_mcp.search.embedder import BUILT_IN, DEFAULT, FASTEMBED, OURS, STATIC, Embedder
from flex_mcp.settings import path_of

if TYPE_CHECKING:
    from flex_mcp.app import App
    from flex_mcp.library.library import Progress
    from flex_mcp.settings import Settings


@dataclass(frozen=True, slots=True)
class Offer:
    """An embedder: what it costs and gives, as far as that was measured.

    `query_ms` is a query of 100 tokens and `load_seconds` a process's first; `ndcg` is the mean
    nDCG@10 in % of the five sets of docs/retrieval.md, with full text.
    """

    name: str
    where: str = "to be fetched"
    megabytes: int | None = None
    dimension: int | None = None
    query_ms: float | None = None
    load_seconds: float | None = None
    ndcg: float | None = None
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A library that went over to an embedder, or had it already."""

    vectors: Vectors
    previous: str | None
    experiences: int
    embedded: bool
    folder: Path | None


MINILM = f"{FASTEMBED}sentence-transformers/all-MiniLM-L6-v2"
SUGGESTED = (  # docs/retrieval.md; MiniLM's costs are of float32, as fetched, its nDCG of int8
    Offer(OURS, "built in", 12, 384, query_ms=6.6, load_seconds=0.2, ndcg=63.5),
    Offer(STATIC, "built in", 9, 256, query_ms=0.2, load_seconds=0.14, ndcg=63.4),
    Offer(MINILM, megabytes=90, dimension=384, query_ms=68, load_seconds=0.85, ndcg=66.6),
    Offer(f"{FASTEMBED}BAAI/bge-small-en-v1.5", megabytes=67, dimension=384),
)
STORED = 32  # bytes a dimension while two vectors are made anew: put aside, stored, indexed, logged


def offers(app: "App", *, every: bool = False) -> list[Offer]:
    """The suggested embedders and those on this machine; or every one that fastembed knows.

    Raises:
        LibraryError: the library is none.
        EmbedderError: every one is asked for, and fastembed cannot be imported.
    """
    from flex_mcp.storage.sqlite.store import look

    settings = app.settings
    made_by = look(settings.library).made_by if settings.library.is_file() else None
    used = made_by.embedder if made_by else settings.embedder or DEFAULT
    sizes = model_files.here(settings.models)
    here = {FASTEMBED + name: round(size / model_files.MEGABYTE) for name, size in sizes.items()}
    known = {one.name: one for one in SUGGESTED}
    for one in sorted(embedder.listed(), key=lambda one: one.megabytes) if every else ():
        name = FASTEMBED + one.name
        known.setdefault(name, Offer(name, megabytes=one.megabytes, dimension=one.dimension))
    for name in (*here, used):
        known.setdefault(name, Offer(name))
    for name, megabytes in here.items():
        known[name] = replace(known[name], where="here", megabytes=megabytes)
    known[used] = replace(known[used], used=True)
    return list(known.values())


def use(
    app: "App",
    wanted: str,
    path: str | None,
    tell: Callable[[str], object],
    progress: "Progress",
    client: str = "python",
) -> Switched:
    """Take a library over to another embedder: tried first, then embedded anew, then switched.

    Until the switch the old vectors serve, whatever ends this; the next run goes on where it was.

    Args:
        app: of the library.
        wanted: an embedder's name, or a model's or the last part of it.
        path: a folder with the model's files, which are kept beside the fetched ones.
        tell: hears what comes next, in sentences.
        progress: hears how many texts are embedded.
        client: who asks for it.

    Raises:
        InputError: a folder is given for one that is built in.
        SettingError: this process's settings ask for another embedder.
        EmbedderError: there is no such model, it cannot be had, or is of no use.
        LibraryError: the library cannot be written.
    """
    settings = app.settings
    name = embedder.resolve(wanted)
    folder = _folder(settings, name, path)
    library = app.library
    library.switching.check_writable()
    if name not in BUILT_IN:
        tell(_coming(settings, name, folder))
    model = embedder.load(name, cache=settings.models, folder=folder, fetch=True)
    trial = library.switching.trial(model)
    kept = None if folder is None else _kept(settings, model, folder)
    del model  # `reindex` loads it from where all processes will find it
    previous = library.statistics().vectors
    if trial.agrees:
        library.switching.stay(client)
    else:
        count = trial.experiences
        needed = count * trial.vectors.dimension * STORED
        what = f"embedding {count:,} experiences"
        model_files.check_room(settings.library.parent, needed, what)
        if count:
            tell(
                f"{name} works: it takes about {_duration(trial.seconds)} for {count:,} "
                "experiences; searches go on with the old vectors meanwhile"
            )
        library.reindex(name, client=client, progress=progress)
    return Switched(
        vectors=trial.vectors,
        previous=previous.embedder if previous else None,
        experiences=trial.experiences,
        embedded=not trial.agrees,
        folder=kept,
    )


def _folder(settings: "Settings", name: str, path: str | None) -> Path | None:
    """The user's folder of a model; checks that later processes will find the same embedder."""
    if settings.embedder not in {None, name}:
        raise SettingError(
            f"FLEX_MCP_EMBEDDER asks for {settings.embedder!r}, so {name!r} would be refused "
            f"afterwards: unset it, or set it to {name}"
        )
    if name in BUILT_IN:
        if path is not None:
            raise InputError(f"{name} is built in: leave --path out")
        return None
    given = None if path is None else path_of(path, "--path", folder=True)
    if None not in {given, settings.embedder_path} and given != settings.embedder_path:
        raise SettingError(
            f"FLEX_MCP_EMBEDDER_PATH names {settings.embedder_path}, and --path another folder: "
            "unset the one, or leave out the other"
        )
    return given or settings.embedder_path


def _coming(settings: "Settings", name: str, folder: Path | None) -> str:
    model = embedder.find(name.removeprefix(FASTEMBED))
    if folder is None and model.lacks(model_files.home(settings.models, model.name)):
        return f"fetching {name}, about {model.megabytes:,} MB"
    return f"loading {name}"


def _kept(settings: "Settings", model: Embedder, folder: Path) -> Path:
    """Keep a model that came in a folder, unless another has its name on this machine.

    Other libraries, and servers that run, may have that one's vectors.
    """
    from flex_mcp.search.embedder_choice import are_alike

    name = model.vectors.embedder
    about = embedder.find(name.removeprefix(FASTEMBED))
    home = model_files.home(settings.models, about.name)
    if not about.lacks(home):
        with contextlib.suppress(EmbedderError):  # what is damaged may be replaced
            if not are_alike(model, embedder.load(name, cache=settings.models, folder=home)):
                raise InputError(
                    f"{home} holds another model of this name, and other libraries may use it: "
                    "delete that folder first, or leave --path out"
                )
    return model_files.keep(about, folder, settings.models)


def _duration(seconds: float) -> str:
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return f"{round(seconds / length)} {unit}s"
    return "a minute" if seconds >= 45 else f"{max(round(seconds), 1)} s"
