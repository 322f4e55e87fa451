"""Libraries in and out: FLEX's JSON, our JSONL bundle, Markdown for reading."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

from flex_mcp.errors import InputError
from flex_mcp.exchange import lenient_json
from flex_mcp.exchange.bundle import NAME, export_bundle, read_bundle
from flex_mcp.exchange.flex import export_flex, flex_entries
from flex_mcp.exchange.markdown import HEADING, export_markdown
from flex_mcp.library.importing import Imported, entry_in_project, in_project
from flex_mcp.library.library import Library, Progress
from flex_mcp.models import HereOrNamed, Projects, Word, named_project

IMPORT_LIMIT = 1024 * 1024 * 1024  # bytes: it is read whole, into about four times the memory
EXPORTS = (b'{"flex-mcp"', HEADING.encode(), b'{\n  "version"')  # what ours begin with
DATABASE = b"SQLite format 3"


class Format(Word):
    JSONL = "jsonl"
    FLEX = "flex"
    MARKDOWN = "markdown"


class How(TypedDict, total=False):
    """Who imports, whether what comes in is screened (unless trusted), and who hears of it."""

    client: str
    trust: bool
    progress: Progress


def export_library(
    library: Library, form: Format = Format.JSONL, projects: Projects = None
) -> Iterable[str]:
    """The library, or what of it is of some projects, as pieces of text."""
    match form:
        case Format.JSONL:
            return export_bundle(library, projects)
        case Format.FLEX:
            return [export_flex(library, projects)]
        case Format.MARKDOWN:
            return export_markdown(library, projects)


def export_file(
    library: Library,
    path: Path,
    form: Format = Format.JSONL,
    projects: Projects = None,
    *,
    force: bool = False,
) -> None:
    """Write the library to a file: whole or not at all, readable by its owner only.

    Only an earlier export is written over, and with `force` any ordinary file but a database.

    Raises:
        InputError: the file cannot be written, or is another one, which is left as it is.
    """
    try:
        path = path.resolve()  # a link stays, what it leads to is written
        _check_target(path, force=force)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(export_library(library, form, projects))
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:
        raise _fault(path, "written", error) from error


def _fault(path: Path, done: str, error: OSError | ValueError) -> InputError:
    shown = str(path).replace("\0", "\\0")[:300]
    why = getattr(error, "strerror", None) or "it cannot be the name of a file"
    return InputError(f"{shown} cannot be {done}: {why}")


def _check_target(path: Path, *, force: bool) -> None:
    there = path.exists()
    if there and not path.is_file():
        raise InputError(f"{path} is no ordinary file: name another, or - for stdout")
    if path.name.endswith(("-wal", "-shm")) or (there and _starts(path, DATABASE)):
        raise InputError(f"{path} belongs to a database: name another file for the export")
    if there and not force and path.stat().st_size and not _starts(path, *EXPORTS):
        raise InputError(
            f"{path} is there already and no export of flex-mcp: name another, or say --force"
        )


def import_file(
    library: Library,
    path: Path,
    *,
    project: HereOrNamed | None = None,
    **how: Unpack[How],
) -> Imported:
    """Take in a FLEX library or a JSONL bundle, told apart by content; all of it or nothing.

    `project` puts all of it into one, False into none; None leaves it as it comes.

    Raises:
        InputError: the file cannot be read, or is neither; the sentence says what is wrong.
        EmbedderError: as in `Library.search`.
    """
    try:
        if path.is_file() and _starts(path, DATABASE):
            raise InputError(f"{path} is a database: export it, or name it with --library")
        text = _read(path)
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise InputError(f"{path} is not UTF-8 text: nothing was imported") from error
        raise _fault(path, "read", error) from error
    return import_text(library, text, source=path.name, project=project, **how)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(IMPORT_LIMIT + 1)
    if len(raw) > IMPORT_LIMIT:
        raise InputError(
            f"{path} has more than {IMPORT_LIMIT:,} bytes (1 GiB), the limit of an import: "
            "copy the library's own file instead"
        )
    return raw.decode("utf-8-sig")


def import_text(
    library: Library,
    text: str,
    *,
    source: str,
    project: HereOrNamed | None = None,
    **how: Unpack[How],
) -> Imported:
    """As `import_file`, for text that is in hand; `source` is what the origin names."""
    bare = text.lstrip("\ufeff \t\r\n")
    if bare.startswith(HEADING):
        raise InputError(
            f"{source} is a Markdown export, for reading: import the JSONL or FLEX file"
        )
    if NAME in _object(bare.split("\n", 1)[0])[0]:
        bundle = read_bundle(text, source)
        if project is not None:
            bundle = in_project(bundle, named_project(project, None))
        return library.import_bundle(bundle, **how)
    content, gone = _object(bare)
    if "library" not in content:
        raise InputError(
            f"{source} is neither a FLEX library (JSON with `library`) nor a bundle of "
            "`flex-mcp export`, or it is damaged: nothing was imported "
            "(trajectories go in by `flex-mcp record`)"
        )
    content, redacted = library.clean(content)  # before its parts are cut to titles
    entries = flex_entries(content, source)
    if project is not None:
        entries = [entry_in_project(one, named_project(project, None)) for one in entries]
    beside = {key: value for key, value in content.items() if key != "library"}
    imported = library.import_entries(
        entries,
        source=source,
        document=json.dumps(beside, ensure_ascii=False),
        **how,
    )
    imported.redacted += redacted
    imported.unused |= gone
    return imported


def _starts(path: Path, *magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(100).startswith(magic)


def _object(text: str) -> tuple[dict[str, Any], Counter[str]]:
    """The object that a text is, empty for another, and what of it was let go."""
    try:
        content, gone = lenient_json.read(text)
    except (ValueError, RecursionError):
        return {}, Counter()
    if not isinstance(content, dict):
        return {}, Counter()
    try:
        text.encode()
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InputError("the file holds half of a surrogate pair: save it as UTF-8") from error
    return cast("dict[str, Any]", content), gone
