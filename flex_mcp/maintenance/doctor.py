"""Whether this installation works: each part looked at by itself, and nothing changed.

No part is imported before its own check, so that one that is missing is found, and not fatal.
"""

import contextlib
import importlib.util
import os
import platform
import re
import shlex
import stat
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flex_mcp import paths
from flex_mcp.clients.catalog import CLIENTS
from flex_mcp.clients.entries import (
    LASTING,
    NAME,
    REMOTE,
    Start,
    cache_of,
    environment_of,
    find_uvx,
    is_off,
    mapping,
    started,
)
from flex_mcp.clients.installing import Clients, Found
from flex_mcp.clients.places import Machine, Scope
from flex_mcp.clients.programs import find
from flex_mcp.errors import EmbedderError, FlexError, SettingError
from flex_mcp.learning.prompts import Prompts
from flex_mcp.settings import Distilling, Redacting, Settings
from flex_mcp.version import __version__

if TYPE_CHECKING:
    from flex_mcp.models import Vectors
    from flex_mcp.storage.sqlite.store import Look

REINSTALL = "install flex-mcp again: a package that it needs is missing or broken"
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
SAFE = re.compile(r"-(?=\w*[PI])[bBdEIiOPqsSuvx]+")  # options of Python, one of them safe


class State(StrEnum):
    """How a part is; only a fault keeps flex-mcp from working."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Check:
    """One part: how it is, and what to do about it."""

    name: str
    state: State
    says: str
    mend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at: a process's Python, environment and version, its machine, its library."""

    machine: Machine
    executable: str = sys.executable
    prefix: str = sys.prefix
    version: str = __version__
    library: str | None = None


def examine(patient: Patient) -> list[Check]:
    """All checks, in the order of what needs what."""
    checks = [_interpreter(patient), *_python_path(patient), _sqlite(), _sqlite_vec()]
    try:
        settings = Settings.from_environment(patient.library, patient.machine.variables)
    except SettingError as error:
        checks.append(_problem("settings", error))
    else:
        checks += _settings(settings)
        checks += _library(settings)
        checks.append(_model(settings))
    return [*checks, *_clients(patient)]


def _problem(name: str, sentence: object, state: State = State.FAULT) -> Check:
    """Our errors and notices end with what to do."""
    says, _, mend = str(sentence).rpartition(": ")
    return Check(name, state, says or mend, mend if says else None)


def _interpreter(patient: Patient) -> Check:
    bits = struct.calcsize("P") * 8
    says = f"Python {platform.python_version()}, {bits} bit, {patient.executable}"
    variables = patient.machine.variables
    if (cache := cache_of(patient.prefix, variables)) is not None:
        if cache != "uv" or (uvx := find_uvx(variables)) is None:
            says += f", in {cache}'s cache, which does not last"
            return Check("interpreter", State.WARNING, says, LASTING[cache])
        says += f", in uv's cache; clients are given {uvx}"
    if bits < 64:
        return Check("interpreter", State.WARNING, says, "use a Python of 64 bit")
    return Check("interpreter", State.OK, f"{NAME} {patient.version}, {says}")


def _python_path(patient: Patient) -> Iterator[Check]:
    """The start depends on the current folder where PYTHONPATH names it: an empty part does."""
    if says := _imports_by_path(patient.machine.variables):
        mend = "unset it, or leave only full paths in it"
        yield Check("interpreter", State.WARNING, says, mend)


def _imports_by_path(variables: Mapping[str, object]) -> str | None:
    parts = str(variables.get("PYTHONPATH", ""))
    if parts and not all(Path(one).is_absolute() for one in parts.split(os.pathsep)):
        return f"PYTHONPATH={parts} has Python run what lies in the folder that a client opens"
    return None


def _sqlite() -> Check:
    try:
        import apsw
    except ImportError as error:
        return Check("sqlite", State.FAULT, f"apsw cannot be imported ({error})", REINSTALL)
    try:
        with contextlib.closing(apsw.Connection(":memory:")) as connection:
            connection.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    except apsw.Error as error:
        return Check("sqlite", State.FAULT, f"SQLite has no full-text search ({error})", REINSTALL)
    says = f"SQLite {apsw.sqlite_lib_version()} with FTS5, by apsw {apsw.apsw_version()}"
    return Check("sqlite", State.OK, says)


def _sqlite_vec() -> Check:
    name = "sqlite-vec"
    try:
        import apsw

        from flex_mcp.storage.sqlite.file import EXTENSION
    except ImportError as error:
        return Check(name, State.FAULT, f"it cannot be imported ({error})", REINSTALL)
    try:
        with contextlib.closing(apsw.Connection(":memory:")) as connection:
            connection.enable_load_extension(enable=True)
            connection.load_extension(EXTENSION)
            version = connection.execute("SELECT vec_version()").get
    except (apsw.Error, OSError) as error:
        return Check(name, State.FAULT, f"the extension does not load ({error})", REINSTALL)
    return Check(name, State.OK, f"the extension loads, {version}")


def _settings(settings: Settings) -> list[Check]:
    """One check for each setting that cannot be used; one in all where they can."""
    checks: list[Check] = []
    try:
        for name in Prompts(settings.prompts_folder).strays():
            says = f"{name} in FLEX_MCP_PROMPTS takes the place of no prompt"
            mend = "give it a name that `flex-mcp prompts list` tells"
            checks.append(Check("settings", State.WARNING, says, mend))
    except SettingError as error:
        checks.append(_problem("settings", error))
    faults: list[tuple[str, str]] = []
    for variable, value, choices in (
        ("FLEX_MCP_DISTILLER", settings.distiller, Distilling),
        ("FLEX_MCP_REDACT", settings.redact, Redacting),
    ):
        if value.strip().casefold() not in {*choices}:
            mend = f"set it to one of {', '.join(choices)}, or unset it"
            faults.append((f"{variable} cannot be {value!r}", mend))
    folder = settings.embedder_path
    if folder is not None and not paths.is_folder(folder):
        says = f"FLEX_MCP_EMBEDDER_PATH names {folder}, which is no folder"
        faults.append((says, "correct it, or unset it"))
    if settings.base_url is not None and not _host(settings.base_url):
        faults.append(("ANTHROPIC_BASE_URL is no address", "begin it with https:// or http://"))
    checks += [Check("settings", State.FAULT, says, mend) for says, mend in faults]
    here = ""
    try:
        here = f"; the project here is {settings.project}" if settings.project else ""
    except SettingError as error:
        checks.append(_problem("settings", error))
    return checks or [Check("settings", State.OK, f"all can be used{here}")]


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None


def _library(settings: Settings) -> Iterator[Check]:
    path = settings.library
    made_by = None
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        yield _new_library(path)
    except OSError as error:
        says = f"{path} cannot be reached ({error.strerror})"
        yield Check("library", State.FAULT, says, "check that it and its folder can be read")
    else:
        if path.is_file():
            check, found = _opened(path)
            made_by = found and found.made_by
            yield check
            yield from _contents(path, found)  # of a damaged one: what a repair would mend
            if os.name == "posix":
                yield _permissions(path)
        else:
            mend = "name a file with --library or FLEX_MCP_LIBRARY"
            yield Check("library", State.FAULT, f"{path} is no file", mend)
    yield _embedder(settings, made_by)


def _new_library(path: Path) -> Check:
    if path.is_symlink():
        mend = "mend the link, or name another library with --library or FLEX_MCP_LIBRARY"
        return Check("library", State.FAULT, f"{path} is a link that leads nowhere", mend)
    folder = next(one for one in path.parents if one.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        says = f"{path} is not there, and cannot be made in {folder}"
        mend = f"make {folder} a folder that you can write, or name another with --library"
        return Check("library", State.FAULT, says, mend)
    says = f"{path} is not there yet: the first record, import or call of a client makes it"
    return Check("library", State.OK, says)


def _opened(path: Path) -> "tuple[Check, Look | None]":
    try:
        from flex_mcp.storage.sqlite.store import look

        found = look(path)
    except FlexError as error:
        return _problem("library", error), None
    except Exception as error:  # noqa: BLE001  a broken installation raises what it likes
        says = f"{path} cannot be looked at ({error})"
        return Check("library", State.FAULT, says, REINSTALL), None
    says = f"{path}, {path.stat().st_size:,} bytes, schema {found.version} of {found.newest}"
    if found.version < found.newest:
        says += ", brought up to date when it is next opened"
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        says += "; it can be searched, but not written"
        mend = "make the file and its folder writable, or name another with --library"
        return Check("library", State.WARNING, says, mend), found
    return Check("library", State.OK, says), found


def _contents(path: Path, found: "Look | None") -> Iterator[Check]:
    """All of the file is read; one that is no library of ours is no case for this check."""
    try:
        from flex_mcp.storage.sqlite.repair import wrong_with

        wrong = wrong_with(path)
    except (ImportError, FlexError):
        return
    if wrong:
        mend = f"run `flex-mcp doctor --repair --library {shlex.quote(str(path))}`"
        yield Check("contents", State.FAULT, "; ".join(filter(str.strip, wrong)), mend)
        return  # what else it says can be asked when it is mended
    yield Check("contents", State.OK, "tables, full text and vectors are whole and agree")
    if found and found.unfinished:
        mend = f"run `flex-mcp forget --finish --library {shlex.quote(str(path))}`"
        yield Check("contents", State.WARNING, "a forgetting is unfinished", mend)
    if found and found.older_words:
        says = "words of some languages, and emoji, are found in new lessons only"
        mend = f"run `flex-mcp reindex --library {shlex.quote(str(path))}`"
        yield Check("contents", State.WARNING, says, mend)


def _permissions(path: Path) -> Check:
    files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    there = [one for one in files if one.exists()]
    open_files = [str(one) for one in there if one.stat().st_mode & (OTHERS_READ | OTHERS_WRITE)]
    if open_files:
        says = f"other users may read {', '.join(open_files)}"
        return Check("permissions", State.WARNING, says, f"chmod 600 {shlex.join(open_files)}")
    mode = path.parent.stat().st_mode
    if mode & OTHERS_WRITE and not mode & stat.S_ISVTX:
        says = f"other users may write in {path.parent}, and so put another file in its place"
        mend = f"chmod go-w {shlex.quote(str(path.parent))}"
        return Check("permissions", State.WARNING, says, mend)
    return Check("permissions", State.OK, "the library is yours alone")


def _embedder(settings: Settings, made_by: "Vectors | None") -> Check:
    try:
        from flex_mcp.search import embedder
        from flex_mcp.search.embedder_choice import Embedders, advice

        wanted, cache, folder = settings.embedder, settings.models, settings.embedder_path
        if wanted:
            embedder.check_name(wanted)
        embedders = Embedders(
            lambda name, _: embedder.load(name, cache=cache, folder=folder), wanted
        )
        serving, notice = embedders.serving(made_by)
    except ImportError as error:
        return Check("embedder", State.FAULT, f"it cannot be imported ({error})", REINSTALL)
    except EmbedderError as error:
        return _problem("embedder", error)
    except Exception as error:  # noqa: BLE001  tokenizers raises nothing narrower
        says = f"its files in {Path(__file__).parents[1]} are broken ({type(error).__name__})"
        return Check("embedder", State.FAULT, says, REINSTALL)
    if serving is None:
        return _problem("embedder", notice, State.WARNING)
    serving.query("does it work")
    about = serving.vectors
    whose = "the library's own" if made_by else "for a new library"
    says = f"{about.embedder}, version {about.version}, {about.dimension} dimensions, {whose}"
    more = None if wanted else advice(made_by, settings.library)
    return Check("embedder", State.OK, f"{says}; {more}" if more else says)


def _model(settings: Settings) -> Check:
    """Who writes the lessons; nobody is asked."""
    key = "ANTHROPIC_API_KEY is set" if settings.api_key else "ANTHROPIC_API_KEY is not set"
    try:
        road = settings.road
    except SettingError:
        mend = "correct FLEX_MCP_DISTILLER"
        return Check("model", State.WARNING, f"it is not clear who writes lessons; {key}", mend)
    if road is Distilling.ANTHROPIC and not settings.api_key:
        says = f"FLEX_MCP_DISTILLER=anthropic, and {key}"
        return Check("model", State.FAULT, says, "set it, or unset FLEX_MCP_DISTILLER")
    if road in {Distilling.SAMPLING, Distilling.ASSISTANT}:
        who = {Distilling.SAMPLING: "the client's model", Distilling.ASSISTANT: "your assistant"}
        return Check("model", State.OK, f"{who[road]} writes lessons; {key}, and not used")
    if not settings.api_key:
        says = f"the client's model, where it is lent, or your assistant writes lessons; {key}"
        return Check("model", State.OK, says)
    if importlib.util.find_spec("anthropic") is None:
        return Check("model", State.FAULT, f"{key}, and anthropic is not installed", REINSTALL)
    host = _host(settings.base_url or "")
    where = f" at {host}" if host else ""
    return Check("model", State.OK, f"{settings.model}{where} writes lessons; {key}")


def _clients(patient: Patient) -> Iterator[Check]:
    """One check for each file with our entry, or that its client cannot read."""
    files = {one.file: one for one in Clients(patient.machine).configured()}  # home may be here
    if not any(one.entry is not None for one in files.values()):
        mend = "run `flex-mcp install CLIENT`; without CLIENT it lists those that are here"
        yield Check("clients", State.WARNING, "no client has flex-mcp", mend)
    for one in files.values():
        if one.entry is not None or one.problem is not None or one.misplaced:
            yield _client(one, patient)


def _client(found: Found, patient: Patient) -> Check:
    again = f"run `flex-mcp install {found.client}"
    again += " --scope project`" if found.scope is Scope.PROJECT else "`"
    entry = started(found.entry)
    if found.problem is not None or found.misplaced or entry is None:
        return _unstarted(found, again)
    where = (
        f"{CLIENTS[found.client].title}, {found.file} → {' '.join((entry.command, *entry.args))}"
    )
    if entry.library:
        where += f", library {entry.library}"
    command = Path(entry.command)
    if command.is_absolute() and (command.is_dir() or not os.access(command, os.X_OK)):
        return Check("clients", State.FAULT, f"{where}: its command cannot be run", again)
    library = entry.library or _option(entry.args, "--library")
    written = library and _in_project(library, found, patient.machine)
    problem = _misplaced(written, patient.machine) if written else None
    if problem is not None:
        again = again.removesuffix("`") + " --library PATH`"  # it keeps the one that is there
    problem = problem or _stale(entry, found.scope, patient)
    if problem := problem or _imports_by_path(environment_of(found.entry)):
        return Check("clients", State.WARNING, f"{where}: {problem}", again)
    if is_off(found.entry):
        says = f"{where}: it is switched off there"
        return Check("clients", State.WARNING, says, f"switch it on in {found.file}, or leave it")
    return Check("clients", State.OK, where)


def _option(args: Sequence[str], name: str) -> str | None:
    """What the words of a command say of an option."""
    words = [*args, ""]
    return next((after for word, after in pairwise(words) if word == name), None)


def _unstarted(found: Found, again: str) -> Check:
    """What keeps a client from starting us by this file."""
    where, root = f"{CLIENTS[found.client].title}, {found.file}", CLIENTS[found.client].root
    if found.problem is not None:
        problem = _problem("clients", found.problem)
        return (
            problem
            if found.entry is None
            else replace(problem, mend=f"{again}, which takes it away")
        )
    if found.misplaced:
        says = f"{where}: our entry is not under `{root}`, and it reads no other"
        return Check("clients", State.FAULT, says, again)
    if REMOTE & mapping(found.entry).keys():
        return Check("clients", State.OK, f"{where} → an address, which is not looked at")
    return Check("clients", State.FAULT, f"{where}: our entry starts nothing", again)


def _in_project(library: str, found: Found, machine: Machine) -> str:
    """A library as a project's file names it, with the folder that its client fills in."""
    folder = CLIENTS[found.client].folder
    is_filled = folder and found.scope is Scope.PROJECT
    return library.replace(folder, str(machine.folder)) if is_filled else library


def _stale(entry: Start, scope: Scope, patient: Patient) -> str | None:
    """What is not as it should be with an entry whose command is there, or has no full path."""
    command, variables = Path(entry.command), patient.machine.variables
    if _imports_folder(entry.args):
        return "it is stale: without -P Python runs what lies in the folder that the client opens"
    if scope is Scope.PROJECT:
        return _unshared(entry.command, variables)
    if not command.is_absolute():
        return "its command has no full path, and a program may not find it"
    if cache := cache_of(str(command.parent.parent), variables):
        return f"its command lies in {cache}'s cache, which does not last"
    if command == Path(patient.executable).absolute() or "-m" not in entry.args:
        return None
    version = _version_in(command.parent.parent) or patient.version
    is_other = version != patient.version
    return f"it starts version {version}, and this is {patient.version}" if is_other else None


def _unshared(command: str, variables: Mapping[str, str]) -> str | None:
    """What keeps those who share a project from starting a command."""
    if Path(command).is_absolute():
        return "its command is a path of this machine, which others who share the file lack"
    return None if find(command, variables) else f"{command} is not on the PATH here"


def _imports_folder(args: tuple[str, ...]) -> bool:
    """Whether Python, started so, imports from the current folder: `-m` without -P or -I."""
    if ("-m", "flex_mcp") not in pairwise(args):
        return False
    return not any(SAFE.fullmatch(word) for word in args[: args.index("-m")])


def _misplaced(written: str, machine: Machine) -> str | None:
    try:
        library = paths.read(written, "its library", machine.variables, relative=False)
    except SettingError as error:
        return str(error)
    try:
        if library.is_dir():
            return "its library is a folder"
        if not library.parent.exists():
            return f"the folder of its library, {library.parent}, is not there"
    except OSError as error:
        return f"its library cannot be reached ({error.strerror})"
    return None


def _version_in(prefix: Path) -> str | None:
    """The version of flex-mcp in an environment, from what lies there: nothing is started."""
    for pattern in ("lib/python3*/site-packages", "Lib/site-packages"):
        for found in prefix.glob(f"{pattern}/flex_mcp-*.dist-info"):
            return found.name.removeprefix("flex_mcp-").removesuffix(".dist-info")
    return None
