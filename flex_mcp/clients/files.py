"""The files of other programs: read whole, replaced at once, with a copy of what was there.

A project's file gets no copy: it would lie in what others share.
"""

import contextlib
import os
import re
import stat
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flex_mcp.errors import ClientError

BACKUP = ".flex-mcp-backup-"
BACKUPS = 5  # of one file
STAMP = "%Y%m%dT%H%M%S%f"
BOM = b"\xef\xbb\xbf"  # some editors on Windows put it first


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A file as it was read; `raw` is None where it is not there. Links are followed."""

    path: Path
    raw: bytes | None
    mode: int
    text: str

    @property
    def has_mark(self) -> bool:
        """Whether it begins with a byte order mark; `text` is without it."""
        return (self.raw or b"").startswith(BOM)

    @property
    def target(self) -> Path:
        return Path(os.path.realpath(self.path))


def read(path: Path) -> Config:
    """A configuration as text.

    Raises:
        ClientError: it cannot be read.
    """
    with _plain(path, "read"):
        try:
            about = path.stat()
        except FileNotFoundError:
            return Config(path=path, raw=None, mode=0, text="")
        if not stat.S_ISREG(about.st_mode):
            raise ClientError(f"{path} is no file: move it out of the way")
        raw = path.read_bytes()
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # of UTF-16, which may also be valid UTF-8
        raise ClientError(
            f"{path} is not written in UTF-8; it was left as it is: save it as UTF-8 first"
        )
    return Config(path=path, raw=raw, mode=about.st_mode, text=text)


def write(before: Config, text: str, *, at: datetime, shared: bool) -> Path | None:
    """Put a text in the place of what was read; the copy of that, if there is one.

    Args:
        before: what was read.
        text: the whole new text.
        at: the time, for the copy's name.
        shared: whether it is one of a project: others may read it, and no copy lies beside it.

    Raises:
        ClientError: it cannot be written; nothing has changed.
    """
    with _plain(before.path, "written"):
        if before.raw is not None and not (before.mode & 0o222 and os.access(before.path, os.W_OK)):
            raise ClientError(f"{before.path} is read-only: make it writable, then try again")
        before.target.parent.mkdir(parents=True, exist_ok=True)
    backup = None if shared else back_up(before, at=at)
    try:
        replace(before, text, private=not shared)
    except BaseException:
        if backup is not None:
            backup.unlink(missing_ok=True)
        raise
    forget_old_backups(before.target)
    return backup


def replace(before: Config, text: str, *, private: bool = True) -> None:
    """Put a text in the place of what was read, at once, and without a byte order mark.

    Raises:
        ClientError: it cannot be written; nothing has changed.
    """
    target = before.target
    temporary = target.with_name(f".{target.name}.flex-mcp-{os.getpid()}")
    with _plain(before.path, "written"):
        try:
            _write_new(temporary, text.encode(), 0o600 if private else 0o666)
            if before.raw is not None:
                _as_it_was(temporary, before)
            _check_unchanged(before)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    _flush_folder(target.parent)


def back_up(before: Config, *, at: datetime) -> Path | None:
    """Copy what was read, beside it.

    Raises:
        ClientError: there is no room for it, or no right to.
    """
    if before.raw is None:
        return None
    target = before.target
    backup = target.with_name(target.name + BACKUP + at.strftime(STAMP))
    with _plain(before.path, "backed up"):
        _write_new(backup, before.raw, stat.S_IMODE(before.mode))
    return backup


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(
        path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), mode
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _as_it_was(path: Path, before: Config) -> None:
    path.chmod(stat.S_IMODE(before.mode))
    about = before.target.stat()
    if hasattr(os, "chown") and (about.st_uid, about.st_gid) != (os.getuid(), os.getgid()):
        with contextlib.suppress(PermissionError):
            os.chown(path, about.st_uid, about.st_gid)


def _check_unchanged(before: Config) -> None:
    if read(before.path).raw != before.raw:
        raise ClientError(f"{before.path} was changed by another program just now: try again")


def _flush_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # POSIX: the new name lasts only then
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def forget_old_backups(target: Path) -> None:
    ours = re.compile(re.escape(target.name + BACKUP) + r"\d{8}T\d{12}")
    with contextlib.suppress(OSError):
        found = sorted(one for one in target.parent.iterdir() if ours.fullmatch(one.name))
        for one in found[:-BACKUPS]:
            one.unlink(missing_ok=True)


@contextlib.contextmanager
def _plain(path: Path, what: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name cannot be one"
        raise ClientError(
            f"{path} cannot be {what} ({why}): check it and its folder, then try again"
        ) from error
