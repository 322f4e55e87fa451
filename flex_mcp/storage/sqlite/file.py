"""Opening a library file: who may read it, which kind it is, PRAGMAs, plain errors."""

import contextlib
import errno
import os
import random
import time
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import apsw

from flex_mcp.errors import LibraryError, NewerLibraryError, NotALibraryError
from flex_mcp.storage.sql_files import migrations
from flex_mcp.storage.sqlite.errors import beside, sentence
from flex_mcp.storage.sqlite.queries import QUERIES, SQL
from flex_mcp.version import __version__

APPLICATION_ID = 0x464C4558  # "FLEX": tells a library from any other SQLite file
BUSY_SECONDS = 10
PATH_LIMIT = 512  # bytes of the longest path that SQLite opens, which is that of a -journal
PAGE_SIZE = 8192  # for the trajectories' sake

MIGRATIONS = migrations(SQL)

MADE_BY_VERSION = "made_by_version"  # the setting that says which flex-mcp made this schema


def _extension() -> str:
    """Where sqlite-vec's extension lies; importing the package would import NumPy with it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = find_spec("sqlite_vec")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'sqlite_vec'", name="sqlite_vec")
    return str(Path(spec.origin).with_name("vec0"))


EXTENSION = _extension()


class Patience:
    """Waits for the locks of other processes, with jitter: SQLite's own steps are all the same.

    `spent` is what the caller has waited already, for other threads.
    """

    def __init__(self) -> None:
        self.spent = 0.0
        self._until = 0.0

    def __call__(self, calls: int) -> bool:
        now = time.monotonic()
        if calls == 0:
            self._until = now + BUSY_SECONDS - self.spent
        if now >= self._until:
            return False
        step = min(0.001 * 1.5 ** min(calls, 20), 0.025)
        time.sleep(min(random.uniform(0.5, 1.5) * step, self._until - now))
        return True


@contextlib.contextmanager
def plain_errors(path: Path) -> Generator[None]:
    """SQLite's errors as sentences of ours."""
    try:
        yield
    except (apsw.Error, UnicodeEncodeError) as error:
        if (ours := sentence(path, error, BUSY_SECONDS)) is None:
            raise
        raise ours from error


@contextlib.contextmanager
def named_damage(path: Path) -> Generator[None]:
    """What our own queries meet in a damaged file only, as a sentence of ours."""
    try:
        yield
    except (apsw.SQLError, UnicodeDecodeError) as error:
        with plain_errors(path):
            raise apsw.CorruptError from error


def prepare(path: Path, *, new: bool = True) -> None:
    """Make the folders (0700) and the empty file (0600) of a library that is not there yet.

    Raises:
        LibraryError: where that is not possible, or not wanted.
    """
    _check_no_orphan(path)
    try:
        _check_length(path)
        if not new and not (path.exists() and path.stat().st_size):
            raise LibraryError(
                f"there is no library {path} yet: begin one with `flex-mcp record`, `flex-mcp "
                "import` or a client (`flex-mcp install`), or check --library and FLEX_MCP_LIBRARY"
            )
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.is_dir():
            raise LibraryError(f"the library {path} is a folder: name a file in it")
        if not path.is_file():
            raise LibraryError(f"the library {path} is no ordinary file: name another")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be the name of a file"
        raise LibraryError(
            f"the library {str(path)[:300]!r} cannot be made ({why}): "
            "name another place with --library or FLEX_MCP_LIBRARY"
        ) from error
    _check_size(path)


def _check_length(path: Path) -> None:
    """The longest name beside a library has to fit, too."""
    longest = beside(path, "-journal")
    if os.name == "posix" and len(os.fsencode(longest)) > PATH_LIMIT:
        raise OSError(errno.ENAMETOOLONG, f"its path has more than {PATH_LIMIT - 8} bytes")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        longest.lstat()


def _check_no_orphan(path: Path) -> None:
    """SQLite deletes the -wal that it finds beside a new file, and that may be all there is.

    The -wal is looked at first: one that has grown by then has its library there already.
    """
    with plain_errors(path), contextlib.suppress(OSError):
        orphan = beside(path, "-wal")
        if size(orphan) and not size(path):
            raise LibraryError(
                f"{orphan} holds the last changes of a library that is not there: put the library "
                "back beside it, or delete it to begin a new one"
            )


def _check_size(path: Path) -> None:
    if size(path) == 1:  # SQLite takes a file of one byte for an empty one
        with plain_errors(path):
            raise apsw.NotADBError


def check_there(path: Path) -> None:
    """See that a file that was open is there again; a new one is not made in its place.

    Raises:
        LibraryError: it is not.
    """
    try:
        if not path.exists():
            raise LibraryError(
                f"the library {path} was deleted or moved while it was in use: put it back, or "
                "start flex-mcp again to begin a new one"
            )
        if path.is_file() and not path.stat().st_size:
            raise _emptied(path)
        _check_size(path)
    except OSError as error:
        raise unreachable(path, error) from error


def unreachable(path: Path, error: OSError) -> LibraryError:
    return LibraryError(
        f"the library {path} cannot be reached ({error.strerror}): "
        "check that its folder can be read"
    )


def check_not_empty(path: Path, connection: apsw.Connection) -> int:
    """The schema of a library that was one when it was opened.

    Raises:
        NotALibraryError: it is empty now.
    """
    if not (version := schema_version(path, connection)):
        raise _emptied(path)
    return version


def _emptied(path: Path) -> NotALibraryError:
    return NotALibraryError(
        f"the library {path} was emptied while it was in use; it was left as it is: "
        "restore a copy, or start flex-mcp again to begin a new one"
    )


def connect(
    path: Path, patience: Patience | None = None, *, readable: bool = True
) -> apsw.Connection:
    """A connection with our PRAGMAs, and sqlite-vec loaded.

    WAL needs a folder that can be written, with some room, and takes the rights of the file. Where
    that is in the way, a library that was closed cleanly is opened as immutable, unless `readable`
    says that this is not enough.
    """
    alone = size(path) > 0 and not size(beside(path, "-wal"))
    with plain_errors(path):
        if alone and not os.access(path, os.W_OK):  # SQLite would make a -wal without the right too
            return _immutable(path, apsw.ReadOnlyError(), readable=readable)
        try:
            return _opened(str(path), apsw.SQLITE_OPEN_READWRITE, patience)
        except (apsw.FullError, apsw.IOError) as error:
            return _immutable(path, error, readable=readable and alone)
        except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
            closed = not os.access(beside(path, "").parent, os.W_OK)
            return _immutable(path, error, readable=readable and alone and closed)


def _immutable(path: Path, error: apsw.Error, *, readable: bool) -> apsw.Connection:
    if not readable:
        raise error
    uri = f"file:{quote(str(path))}?immutable=1"
    return _opened(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def connect_unchanged(path: Path) -> apsw.Connection:
    """A connection that changes nothing: not even a -wal beside the file is made."""
    changes, shm = beside(path, "-wal"), beside(path, "-shm")
    lives = changes.exists() and (size(changes) > 0 or shm.exists())  # else it misses nothing
    with plain_errors(path):
        _check_size(path)
        uri = f"file:{quote(str(path))}?{'mode=ro' if lives else 'immutable=1'}"
        return _opened(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _opened(name: str, flags: int, patience: Patience | None = None) -> apsw.Connection:
    connection = apsw.Connection(name, flags=flags)
    try:
        connection.set_busy_handler(patience or Patience())
        connection.create_scalar_function("lowered", _lowered, 1, deterministic=True)
        connection.enable_load_extension(enable=True)
        connection.load_extension(EXTENSION)
        connection.enable_load_extension(enable=False)
        connection.execute(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
            "PRAGMA mmap_size = 268435456; PRAGMA temp_store = MEMORY;"
        )
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.SQLError as error:  # the statements are sound: the header names another format
        connection.close()
        raise apsw.NotADBError(str(error)) from error
    except BaseException:
        connection.close()  # and its -wal and -shm go
        raise
    return connection


def _lowered(*given: Any) -> str:
    """All letters of a text; SQLite's own `lower` knows ASCII alone."""
    return str(given[0]).lower()


def usual_schema(version: int) -> list[tuple[str, str, int, str]]:
    """Kind, name, first page and SQL of all that the migrations make, as every library has it."""
    with contextlib.closing(apsw.Connection(":memory:")) as usual:
        usual.pragma("page_size", PAGE_SIZE)
        for migration in MIGRATIONS[:version]:
            usual.execute(migration)
        found = usual.execute(
            "SELECT type, name, rootpage, sql FROM sqlite_schema WHERE sql IS NOT NULL"
        )
        return cast("list[tuple[str, str, int, str]]", found.fetchall())


def schema_version(path: Path, connection: apsw.Connection) -> int:
    """The schema of a library, 0 for an empty file.

    Raises:
        NotALibraryError: the file holds something else.
        NewerLibraryError: it was written by a newer version.
    """
    if not connection.pragma("schema_version"):
        return 0  # nothing in it yet
    if connection.pragma("application_id") != APPLICATION_ID:
        raise NotALibraryError(
            f"{path} is an SQLite file of another program; it was left as it is: "
            "name another with --library or FLEX_MCP_LIBRARY"
        )
    version = int(connection.pragma("user_version"))
    if version > len(MIGRATIONS):
        maker = _made_by_version(connection)
        maker = None if maker == __version__ else maker  # unreleased: its number says nothing
        by = f"was written by flex-mcp {maker} (schema {version})" if maker else ""
        needed = f" to {maker} or later" if maker else ""
        raise NewerLibraryError(
            f"the library {path} {by or f'has schema {version}'}, and this is {__version__}, which "
            f"knows up to schema {len(MIGRATIONS)}: upgrade flex-mcp{needed}"
        )
    return version


def _made_by_version(connection: apsw.Connection) -> str | None:
    """What a newer version says of itself; its tables may be others than ours."""
    try:
        found = connection.execute(QUERIES["setting"], {"name": MADE_BY_VERSION}).get
    except apsw.Error:
        return None
    return str(found)[:40] if found else None


def let_go(path: Path, connection: apsw.Connection) -> None:
    """Close a file that was refused; what is in its -wal is not folded in."""
    if size(path.with_name(path.name + "-wal")):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def persist(work: Callable[[], object]) -> None:
    """Do it as soon as no other process is in the way, where SQLite itself does not wait.

    Raises:
        BusyError: one is for too long.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            work()
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > deadline:
                raise
            wait_a_little()
        else:
            return


def wait_a_little() -> None:
    """Before the next try for a lock, so that not all try at once."""
    time.sleep(random.uniform(0.005, 0.05))
