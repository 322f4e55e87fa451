"""Errors of SQLite, in sentences of ours."""

import errno
import os
import shutil
from pathlib import Path

import apsw

from flex_mcp.errors import (
    BusyLibraryError,
    FlexError,
    FullDiskError,
    InputError,
    LibraryError,
    NotALibraryError,
    ReadOnlyLibraryError,
)

LITTLE = 128 * 1024  # bytes of room

FIXED: tuple[tuple[tuple[type[Exception], ...], type[FlexError], str], ...] = (
    (
        (apsw.FullError,),
        FullDiskError,
        "no room is left on the disk of {path}: free some space and try again; nothing was stored",
    ),
    (
        (apsw.ReadOnlyError, apsw.PermissionsError),
        ReadOnlyLibraryError,
        (
            "the library {path} cannot be written: make the file and its folder writable, "
            "or name another with --library or FLEX_MCP_LIBRARY"
        ),
    ),
    (
        (apsw.NotADBError, apsw.CorruptError),
        NotALibraryError,
        (
            "{path} is damaged or no library of flex-mcp; it was left as it is: "
            "mend it with `flex-mcp doctor --repair --library {path}`, go back to a copy with "
            "`flex-mcp restore`, or name another with --library or FLEX_MCP_LIBRARY"
        ),
    ),
    (
        (UnicodeEncodeError,),
        InputError,
        "a text holds half of a surrogate pair: send valid Unicode",
    ),
    (
        (apsw.ConnectionClosedError,),
        LibraryError,
        "the library {path} is closed: open it again",
    ),
)


def sentence(path: Path, error: Exception, waited: float) -> FlexError | None:
    """What to tell a person or model; None for what is a fault of ours."""
    for kinds, ours, text in FIXED:
        if isinstance(error, kinds):
            return ours(text.format(path=path))
    if isinstance(error, apsw.BusyError | apsw.LockedError | apsw.ProtocolError):
        return BusyLibraryError(
            f"the library {path} is locked by another process (waited {waited} s): "
            "try again in a moment"
        )
    if isinstance(error, apsw.CantOpenError):
        why = "check that it and its folder can be read and written"
        if _too_many_files():
            why = "too many files are open; close some, or raise the limit (ulimit -n)"
        return LibraryError(f"the library {path} cannot be opened: {why}")
    if isinstance(error, apsw.IOError) and _is_full(path):
        return sentence(path, apsw.FullError(), waited)
    if isinstance(error, apsw.IOError):
        return LibraryError(
            f"the disk of {path} failed ({error}): check it, its room, and any limit on the size "
            "of files, then try again; nothing was stored"
        )
    return None


def beside(path: Path, end: str) -> Path:
    """What SQLite keeps beside a library: it follows links."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + end)


def _is_full(path: Path) -> bool:
    """What needs a little room, such as a -shm, fails before there is none at all."""
    try:
        return shutil.disk_usage(path.parent).free < LITTLE
    except OSError:
        return False


def _too_many_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False
