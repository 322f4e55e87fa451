"""Whether another process has a library open, also one that SQLite cannot read any more."""

import contextlib
import os
from pathlib import Path

from flex_mcp.errors import BusyLibraryError, LibraryError

SHARED_FIRST, SHARED_SIZE = 0x4000_0002, 510  # the bytes that SQLite locks while it has a file open


def check_unused(path: Path) -> None:
    """See whether the file may be moved: where locks are of another kind, moving it says so.

    Nothing in this process may have it open: closing a file drops the process's locks.

    Raises:
        BusyLibraryError: a process has it open.
    """
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            handle = os.open(path, os.O_RDWR)
        except OSError as error:
            raise LibraryError(
                f"the library {path} cannot be replaced ({error.strerror}): make the file and its "
                "folder writable"
            ) from error
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_SIZE, SHARED_FIRST)
        except OSError as error:
            raise BusyLibraryError(
                f"a process has the library {path} open: end the programs that use it, "
                "then try again"
            ) from error
        finally:
            os.close(handle)
