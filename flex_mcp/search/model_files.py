"""Where the files of fastembed's models lie, and how they come there: fetched, or from a folder.

A model has one folder, by its name, which every process finds. Its weights come last and each file
comes whole, so that a folder with all of them can be loaded whenever a copy or fetch was killed.
"""

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path

from flex_mcp.errors import EmbedderError
from flex_mcp.paths import is_folder

EXTRA = "config.json", "special_tokens_map.json", "preprocessor_config.json"  # used where present
WEIGHTS = {".onnx", ".safetensors"}
ANSWER_SECONDS = 10  # how long the network may be silent
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that fastembed knows; `files` are those that it needs, the weights last."""

    name: str
    source: str
    files: tuple[str, ...]
    megabytes: int
    dimension: int

    def lacks(self, folder: Path) -> list[str]:
        """Those of its files that are not in a folder."""
        if not is_folder(folder):
            return [*self.files]
        return [file for file in self.files if not (folder / file).is_file()]


def home(cache: Path, model: str) -> Path:
    """The folder of a model."""
    return cache / model.replace("/", "--")


def here(cache: Path) -> dict[str, int]:
    """The models that are on this machine, and their bytes."""
    sizes: dict[str, int] = {}
    for folder in sorted(set(cache.glob("*--*")) - set(cache.glob("models--*"))):  # fastembed's own
        files = [one for one in folder.rglob("*") if one.is_file()]
        if any(file.suffix in WEIGHTS for file in files):
            sizes[folder.name.replace("--", "/", 1)] = sum(file.stat().st_size for file in files)
    return sizes


def keep(model: Model, source: Path, cache: Path) -> Path:
    """Copy a model's files from a folder of the user's, which may go then.

    Raises:
        EmbedderError: they cannot be written.
    """
    folder = home(cache, model.name)
    needed = sum((source / file).stat().st_size for file in model.files)
    check_room(folder, needed, f"the model {model.name!r}")
    try:
        for file in (*EXTRA, *model.files):
            if (source / file).is_file():
                _copy(source / file, folder / file)
            else:
                (folder / file).unlink(missing_ok=True)  # of another copy
    except OSError as error:
        raise EmbedderError(
            f"the model {model.name!r} cannot be kept in {folder} ({error.strerror}): "
            "make that folder writable, and try again"
        ) from error
    return folder


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)


def fetch(model: Model, cache: Path) -> Path:
    """Fetch a model's files; what a killed fetch left is gone on with.

    Without a network it gives up in `ANSWER_SECONDS`; the hub's own bar shows what comes.

    Raises:
        EmbedderError: they cannot be fetched or written; it says what to do.
    """
    folder = home(cache, model.name)
    check_room(folder, model.megabytes * MEGABYTE, f"the model {model.name!r}")
    try:
        _download(model, folder)
    except Exception as error:  # the hub and its HTTP library raise what they like
        raise EmbedderError(
            f"the model {model.name!r} cannot be fetched ({type(error).__name__}): check the "
            "network and try again, or bring its files in a folder and run "
            f"`flex-mcp embedder use {model.name} --path FOLDER`"
        ) from error
    return folder


def _download(model: Model, folder: Path) -> None:
    import huggingface_hub as hub  # late: it is large

    about = hub.model_info(model.source, timeout=ANSWER_SECONDS)
    offered = {file.rfilename for file in about.siblings or ()}
    for file in (*EXTRA, *model.files):
        if file in offered:
            hub.hf_hub_download(
                model.source,
                file,
                revision=about.sha,
                local_dir=folder,
                etag_timeout=ANSWER_SECONDS,
            )


def check_room(folder: Path, needed: int, what: str) -> None:
    """See whether a folder, or the one that it will be made in, has room.

    Raises:
        EmbedderError: it has not.
    """
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise EmbedderError(
            f"{what} needs about {needed // MEGABYTE:,} MB in {there}, and "
            f"{free // MEGABYTE:,} MB are free: make room, and try again"
        )


def check_whole(model: Model, folder: Path) -> None:
    """See whether a folder of the user's has all files of a model.

    Raises:
        EmbedderError: it has not; it says which it lacks.
    """
    if missing := model.lacks(folder):
        raise EmbedderError(
            "--path or FLEX_MCP_EMBEDDER_PATH must name a folder with all files of the model "
            f"{model.name!r}: {folder} lacks {', '.join(missing)}"
        )
