"""A backup's content in the place of a library's, whatever state that is in."""

import contextlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import apsw

from flex_mcp.errors import InputError, LibraryError, NewerLibraryError, NotALibraryError
from flex_mcp.models import new_id
from flex_mcp.storage.protocol import BACKUPS, EPOCH
from flex_mcp.storage.sqlite import backups, file, migrate
from flex_mcp.storage.sqlite.locking import check_unused
from flex_mcp.storage.sqlite.queries import QUERIES, first, runner
from flex_mcp.storage.sqlite.search_index import SearchIndex
from flex_mcp.storage.sqlite.transaction import SqliteTransaction


class Restored(NamedTuple):
    """Where what was there before is kept: a copy of it, or the damaged file itself."""

    experiences: int
    copy: Path | None = None
    damaged: Path | None = None


def restore(path: Path, backup: Path) -> Restored:
    """Put the content of a backup into a library; what was there is kept beside it.

    Processes that have the library open see one change, and go on with what was restored.

    Raises:
        InputError: the backup is not there, or is the library itself.
        LibraryError: the backup is damaged or of a newer version, or the library is in use and
            cannot be changed now; nothing is changed.
    """
    if not backup.is_file():
        raise InputError(f"there is no backup {backup}: name a file made by `flex-mcp backup`")
    if path.exists() and path.samefile(backup):
        raise InputError(f"{backup} is the library itself: name a backup of it")
    with _folder_of(path), backups.temporary(path) as made:
        experiences = _ready(backup, made)
        if not _is_sound(path):
            return Restored(experiences, damaged=put_instead(made, path))
        _fit(made, path)
        with backups.put_in(made, path):
            _keep_backups(path, made)
            kept = backups.before(path, backups.RESTORED)
        backups.drop_old(path, backups.RESTORED)
        return Restored(experiences, copy=kept)


@contextlib.contextmanager
def _folder_of(path: Path) -> Generator[None]:
    """Make the library's folder, and take it away again where nothing came into it."""
    is_new = not path.parent.exists()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(
            f"the folder {path.parent} cannot be made ({error.strerror}): "
            "name another place with --library or FLEX_MCP_LIBRARY"
        ) from error
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                path.parent.rmdir()


def put_instead(made: Path, path: Path) -> Path | None:
    """Put a file in the place of one that cannot be used, which is moved aside: where to, if any.

    A kill in between leaves one or the other there, never an empty place.

    Raises:
        BusyLibraryError: a process has it open.
    """
    backups.settle(made)
    if path.exists():
        check_unused(path)
    kept = backups.named(path, f"{path.name}.damaged-{{}}")
    if any(map(file.size, (path, path.with_name(path.name + "-wal")))):
        _move_aside(path, kept)
    made.replace(path)
    backups.settle_folder(path.parent)
    moved = (kept, kept.with_name(kept.name + "-wal"))
    return next((one for one in moved if one.exists()), None)


def _move_aside(path: Path, kept: Path) -> None:
    """With its -wal."""
    try:
        os.link(path, kept)
    except OSError:  # no file of that name, or no links
        if path.exists():
            path.rename(kept)
    for end in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(kept.with_name(kept.name + end))


def _ready(backup: Path, made: Path) -> int:
    """Copy a backup, check it, bring it up to date and give it an epoch: how much it holds."""
    try:
        with contextlib.closing(file.connect_unchanged(backup)) as source:
            backups.copy(source, made)
        backups.check_whole(made, backup)
        return _renewed(backup, made)
    except NotALibraryError as error:
        raise NotALibraryError(
            f"the backup {backup} is damaged, or no backup of a library; nothing was changed: "
            "name another"
        ) from error


def _renewed(backup: Path, made: Path) -> int:
    with contextlib.closing(file.connect(made)) as copied, file.plain_errors(backup):
        if copied.execute("PRAGMA integrity_check(1)").get != "ok":
            raise apsw.CorruptError
        migrate.migrate(made, copied, copying=False)
        writing = SqliteTransaction(copied, SearchIndex(), writes=True)
        writing.settings.set(EPOCH, new_id("x"))
        writing.log.sign("restore", "command line")
        copied.pragma("journal_mode", "delete")
        return int(str(copied.execute("SELECT count(*) FROM experiences").get))


def _keep_backups(path: Path, made: Path) -> None:
    """The library goes on knowing where its backups are, those made since as well."""
    known: list[str] = []
    for one in (made, path):
        with contextlib.closing(file.connect_unchanged(one)) as connection:
            known += json.loads(first(runner(connection), "setting", name=BACKUPS) or "[]")
    with contextlib.closing(file.connect(made)) as copied:
        value = json.dumps(list(dict.fromkeys(known)))
        copied.execute(QUERIES["set_setting"], {"name": BACKUPS, "value": value})


def _is_sound(path: Path) -> bool:
    """Whether there is a library that can take another content.

    Raises:
        NewerLibraryError: a newer version wrote it.
        NotALibraryError: it is a file of another program, or no library at all.
    """
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        backups.check_whole(path, path)
    except NewerLibraryError:
        raise
    except NotALibraryError:
        if _is_foreign(path):
            raise
        _check_ours(path)
        return False
    return True


def _check_ours(path: Path) -> None:
    from flex_mcp.storage.sqlite.salvage import is_ours  # late: only what is damaged needs it

    if not is_ours(path):
        raise NotALibraryError(
            f"{path} is no library of flex-mcp; it was left as it is: name another with --library, "
            "or move it away first"
        )


def _is_foreign(path: Path) -> bool:
    """Whether another program's SQLite reads it."""
    try:
        with contextlib.closing(file.connect_unchanged(path)) as found:
            return found.pragma("application_id") != file.APPLICATION_ID
    except (LibraryError, apsw.Error):
        return False


def _fit(made: Path, path: Path) -> None:
    """Give the copy the library's page size, which its file keeps."""
    with (
        contextlib.closing(file.connect(path)) as live,
        contextlib.closing(file.connect(made)) as copied,
    ):
        size = live.pragma("page_size")
        if copied.pragma("page_size") == size:
            return
        copied.pragma("page_size", size)
        copied.execute("VACUUM")
        copied.pragma("journal_mode", "delete")
