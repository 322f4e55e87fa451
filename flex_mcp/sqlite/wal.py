"""Whether the -wal beside a library is its own: SQLite takes any that lies there."""

import contextlib
from pathlib import Path
from urllib.parse import quote

import apsw

from flex_mcp.errors import NotALibraryError
from flex_mcp.sqlite.sentences import beside, has_open, holders, locks

CHECKED = 256 * 1024 * 1024  # bytes of a file up to which a -wal is compared with it
LIBRARY_ID = "SELECT value FROM meta WHERE name = 'library_id'"


def check_strange(path: Path) -> None:
    """See that no -wal is shared with those who have open what lay here before: SQLite would.

    Raises:
        NotALibraryError: it holds what they stored.
    """
    if size(beside(path, "-wal")) and _is_strange(path):
        raise _unfit(path)


def part_from_others(path: Path) -> None:
    """The same; an empty one is taken from them, or they would fold in what is stored here.

    Raises:
        NotALibraryError: as above.
    """
    check_strange(path)
    if _is_strange(path):
        with contextlib.suppress(OSError):  # who may not, stores nothing either
            beside(path, "-wal").unlink(missing_ok=True)
            beside(path, "-shm").unlink(missing_ok=True)


def is_left(path: Path) -> bool:
    """Whether somebody who had the library open was killed, as far as that can be known."""
    return size(beside(path, "-wal")) > 0 and not locks(path)


def _is_strange(path: Path) -> bool:
    """Whether all who use the -shm use it for another file than this, which lay here before."""
    try:
        shm, this = (beside(path, end).stat().st_ino for end in ("-shm", ""))
    except OSError:
        return False
    users, of_this = holders(shm, this)
    return bool(users) and not users & of_this and not any(has_open(pid, path) for pid in users)


def check(path: Path, connection: apsw.Connection) -> None:
    """See that the -wal beside a file belongs to it, before anything is folded in.

    SQLite takes any that lies there, such as that of the library that a copy was put in place of.
    It costs 2 ms a MB, and only where the last one who had the library open was killed.

    Raises:
        NotALibraryError: it does not.
    """
    if size(path) > CHECKED:
        return
    if connection.execute("PRAGMA integrity_check(1)").get == "ok":
        alone = _library_id(path)
        if alone is None or alone == connection.execute(LIBRARY_ID).get:
            return
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    raise _unfit(path)


def _unfit(path: Path) -> NotALibraryError:
    left = beside(path, "-wal")
    return NotALibraryError(
        f"{left} does not fit {path}: one of them is damaged or of another library, and both were "
        f"left as they are: move {left.name} away, or restore a copy"
    )


def _library_id(path: Path) -> str | None:
    """Of the file without its -wal; None where that alone is none, or just being changed."""
    uri = f"file:{quote(str(path))}?immutable=1"
    with contextlib.suppress(apsw.Error):
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        with contextlib.closing(apsw.Connection(uri, flags=flags)) as connection:
            return connection.execute(LIBRARY_ID).get
    return None


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
