"""What SQLite says, in sentences of ours; and who holds a lock, where that can be known."""

import contextlib
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

# The byte of the -shm that a writer locks (SQLite's walformat.html, 2.3.1).
WRITE_LOCK = "120"
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
        return _busy(path, waited)
    if isinstance(error, apsw.CantOpenError):
        why = "check that it and its folder can be read and written"
        if too_many_files():
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


def _busy(path: Path, waited: float) -> BusyLibraryError:
    holder = _holder(path)
    who, mend = (f" ({holder})", "end that, or ") if holder else ("", "")
    return BusyLibraryError(
        f"the library {path} is locked by another process{who} (waited {waited} s): "
        f"{mend}try again in a moment"
    )


def _holder(path: Path) -> str | None:
    """Who holds the write lock, where that can be known."""
    for pid, kind, start in locks(path):
        if kind == "WRITE" and start == WRITE_LOCK and pid != os.getpid():
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
                return f"{name}, process {pid}"
    return None


def locks(path: Path) -> list[tuple[int, str, str]]:
    """Who holds which locks on the -shm of a library, which whoever has it open does.

    Linux tells it; elsewhere there are none. Asking by fcntl would need the file opened, and
    closing it again drops our own locks.
    """
    try:
        shm = beside(path, "-shm").stat().st_ino
    except OSError:
        return []
    return [(pid, kind, start) for inode, pid, kind, start in _locks() if inode == shm]


def holders(*inodes: int) -> list[set[int]]:
    """The processes that hold a lock on each of these files, as far as that can be known.

    Whoever has a library open holds one on it and on its -shm until it closes both.
    """
    found = _locks()
    return [{pid for one, pid, *_ in found if one == inode} for inode in inodes]


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open, where that can be known: locks are lost more easily."""
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if handle.samefile(path):
                    return True
    return False


def _locks() -> list[tuple[int, int, str, str]]:
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if " -> " not in line]
        return [
            (int(file.rpartition(":")[2]), int(pid), kind, start)
            for _, _, _, kind, pid, file, start, *_ in rows
        ]
    except (OSError, ValueError):
        return []


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


def too_many_files() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False
