"""Backups of a library file, by SQLite's own interface: whole and checked, or not there.

A copy is of one snapshot, so no writer holds it up or makes it begin anew, and it holds up none.
"""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import apsw

from flex_mcp.errors import BusyLibraryError, FullDiskError, InputError, LibraryError
from flex_mcp.storage.sqlite import file

KEPT = 3  # automatic copies of each kind
AUTOMATIC = MIGRATED, RESTORED = (r"schema-\d+", "before-restore")  # why, in their names
STAMP = r"\d{8}T\d{6}Z(-\d+)?"  # as `named` gives it
STALE = 86_400  # seconds after which nobody is making a copy any more
STEP = 256  # pages between two looks at whether somebody wants to stop
ROOM = 1.05  # of the library's size: what a copy has to have free


def back_up(path: Path, source: apsw.Connection, target: Path) -> None:
    """Copy the library of this connection to a file that is not there yet.

    Raises:
        InputError: there is one, or its folder is not there.
        LibraryError: it cannot be written, or the library is damaged.
    """
    beside = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    if target in beside or target.resolve() in {one.resolve() for one in beside}:
        raise InputError(f"{target} is the library itself: name another file for its backup")
    _check_free(target)
    for half in _halves(path):
        if time.time() - half.stat().st_mtime > STALE:
            half.unlink(missing_ok=True)
    with temporary(target) as made:
        copy(source, made)
        check_whole(made, path)
        settle(made)
        _put(made, target)


def before(path: Path, why: str) -> Path:
    """Copy a library beside itself before it changes; all but the last of this kind go.

    Raises:
        FullDiskError: there is no room for it; nothing is changed.
        LibraryError: it cannot be made.
    """
    needed = path.stat().st_size * ROOM
    if shutil.disk_usage(path.parent).free < needed:
        raise FullDiskError(
            f"no room for the copy of {path} that is kept before it is changed: "
            f"free {needed / 1e6:,.0f} MB on its disk and try again; nothing was changed"
        )
    target = named(path, f"{path.name}.{why}-{{}}.bak")
    with contextlib.closing(file.connect(path)) as source:
        back_up(path, source, target)
    return target


def drop_old(path: Path, kind: str) -> None:
    """Remove the oldest automatic copies of a kind, one of `AUTOMATIC`."""
    found = _beside(path, _automatic(path, kind))
    for old in sorted(found, key=lambda one: (one.stat().st_mtime_ns, one.name))[:-KEPT]:
        old.unlink(missing_ok=True)


def copies_of(path: Path) -> list[Path]:
    """All that was kept of a library beside it without being asked for, and halves of copies."""
    patterns = [
        *(rf"{_automatic(path, kind)}(-wal|-shm)?" for kind in AUTOMATIC),
        rf"{re.escape(path.name)}\.damaged-{STAMP}(-wal|-shm)?",
    ]
    return sorted([*(one for each in patterns for one in _beside(path, each)), *_halves(path)])


def _automatic(path: Path, kind: str) -> str:
    return rf"{re.escape(path.name)}\.{kind}-{STAMP}\.bak"


def _halves(path: Path) -> list[Path]:
    """What a killed process left of copies that it was making beside the library."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    copied = "|".join(_automatic(path, kind) for kind in AUTOMATIC)
    whole = rf"{re.escape(path.name)}|{stem}\.backup-{STAMP}{suffix}|{copied}"
    return _beside(path, rf"\.({whole})\.[0-9a-f]{{8}}\.part(-wal|-shm|-journal)?")


def _beside(path: Path, pattern: str) -> list[Path]:
    """What has a name that only we give: the user's own files lie there too."""
    return [one for one in path.parent.iterdir() if re.fullmatch(pattern, one.name)]


def default_target(path: Path) -> Path:
    """Where a backup goes when nobody says where."""
    return named(path, f"{path.stem}.backup-{{}}{path.suffix}")


def named(path: Path, pattern: str) -> Path:
    """A name beside the library, with the time in it, that nothing has yet."""
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (now, *(f"{now}-{number}" for number in range(2, 1_000)))
    return next(one for name in names if not (one := path.with_name(pattern.format(name))).exists())


@contextlib.contextmanager
def temporary(target: Path) -> Generator[Path]:
    """An empty file (0600) beside `target`, gone at the end with what SQLite put beside it."""
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise LibraryError(
            f"{target} cannot be written ({error.strerror}): name a place that you can write"
        ) from error
    try:
        yield made
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            made.with_name(made.name + end).unlink(missing_ok=True)


def copy(source: apsw.Connection, target: Path) -> None:
    """Fill an empty file; it is left in rollback mode, so that it opens by itself."""
    with file.plain_errors(target), contextlib.closing(apsw.Connection(str(target))) as made:
        source.execute("BEGIN")
        try:
            with made.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(STEP)
        finally:
            source.execute("COMMIT")
        made.pragma("journal_mode", "delete")


def check_whole(made: Path, original: Path) -> None:
    """See whether a copy is a sound library; errors name the original.

    Raises:
        NotALibraryError: it is damaged, or something else.
        NewerLibraryError: it was written by a newer version.
    """
    with contextlib.closing(file.connect_unchanged(made)) as copied, file.plain_errors(original):
        if not file.schema_version(original, copied):
            raise apsw.NotADBError
        if copied.execute("PRAGMA quick_check(1)").get != "ok":
            raise apsw.CorruptError
        copied.execute("SELECT count(*) FROM experiences").fetchall()


@contextlib.contextmanager
def put_in(source: Path, path: Path) -> Generator[None]:
    """Put the content of a file into a library that others may have open, at the end of the block.

    Nobody else writes during the block, so a copy that is made there holds all that is replaced;
    others go on reading. Writers wait for as long as it takes, some 6 s a GB: with a library so
    large that this is more than BUSY_SECONDS, they are told that it is locked.

    Raises:
        BusyLibraryError: others write all the time.
    """
    with (
        file.plain_errors(path),
        contextlib.closing(file.connect(source)) as held,
        contextlib.closing(file.connect(path)) as live,
    ):
        live.set_busy_timeout(0)  # the waiting is ours, with jitter
        with live.backup("main", held, "main") as backup:
            _hold_off(path, backup)
            yield
            backup.step()
        _fold_in(live)


def _hold_off(path: Path, backup: apsw.Backup) -> None:
    """Take the write lock, for as long as this goes on: a step of no pages does."""
    try:
        file.persist(lambda: backup.step(0))
    except (apsw.BusyError, apsw.LockedError) as error:
        raise BusyLibraryError(
            f"the library {path} is being written by another process (waited "
            f"{file.BUSY_SECONDS} s): nothing was changed; close it and try again"
        ) from error


def _fold_in(live: apsw.Connection) -> None:
    """Bring what lies only in the -wal into the file, as far as those who still read let it.

    Left there, it might be taken for the -wal of another library, whose id it has.
    """
    deadline, wanted = time.monotonic() + file.BUSY_SECONDS, None
    while time.monotonic() < deadline:
        with contextlib.suppress(apsw.Error):  # it is restored all the same
            frames, folded = live.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            wanted = wanted or frames  # others may go on writing
            if folded >= wanted or frames < wanted:
                return
        file.wait_a_little()


def _check_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already: name a file that is not, or remove it")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} is not there: make it, or name another")


def settle(made: Path, flags: int = os.O_RDWR) -> None:
    handle = os.open(made, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(made: Path, target: Path) -> None:
    """A link, where there are such: unlike a rename, it never takes the place of another file."""
    try:
        os.link(made, target)
    except OSError:
        _check_free(target)
        made.rename(target)
    settle_folder(target.parent)


def settle_folder(folder: Path) -> None:
    """See to it that new names outlast a loss of power, where a folder can be synced."""
    with contextlib.suppress(OSError):
        settle(folder, os.O_RDONLY)
