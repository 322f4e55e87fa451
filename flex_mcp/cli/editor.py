"""A text in the person's own editor; what was written is never lost."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from flex_mcp.cli.commands import say
from flex_mcp.cli.revisions import command
from flex_mcp.errors import ChangedError, FlexError, InputError
from flex_mcp.settings import environment

T = TypeVar("T")


def written(start: str, take: Callable[[str], T], *, again: Sequence[str], instead: str) -> T:
    """What `take` makes of a text that a person writes, beginning with `start`.

    Where it is refused, a person at a terminal may edit it again. What is not taken stays in its
    file, which the refusal names; `again` are the words of the command that
    takes it from there, `instead` says what does without an editor.

    Raises:
        FlexError: there is no editor, or what `take` raised.
    """
    _check_editor(instead)
    descriptor, name = tempfile.mkstemp(prefix="flex-mcp-", suffix=".txt")
    path = Path(name)
    with os.fdopen(descriptor, "wb") as file:  # no other user can read it
        file.write(start.encode())
    kept = f"your text is in {path}"
    try:
        made = _edited(path, take)
    except FlexError as error:
        if not _keeps(path, start):
            raise
        taking = command(*again, "--file", name)
        raise InputError(f"{error}; {kept}: {taking} takes it from there") from error
    except BaseException:
        if _keeps(path, start):
            say(kept)
        raise
    path.unlink(missing_ok=True)
    return made


def _edited(path: Path, take: Callable[[str], T]) -> T:
    while True:
        try:
            click.edit(filename=str(path))
        except click.ClickException as error:
            raise InputError(
                f"{error.format_message()}: set VISUAL or EDITOR to one that works here"
            ) from error
        try:
            return take(read(path))
        except ChangedError:
            raise  # the same text would be refused again
        except InputError as error:
            if not sys.stdin.isatty():
                raise
            click.echo(f"{error}.", err=True)
            if not click.confirm("Edit it again?", default=True, err=True):
                raise


def read(path: Path) -> str:
    """A text that somebody wrote.

    Raises:
        InputError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")  # with its ends of lines
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): do it again") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save it as that") from error


def _check_editor(instead: str) -> None:
    known = environment()
    if not (sys.stdin.isatty() or known.get("VISUAL") or known.get("EDITOR")):
        raise InputError(f"there is no terminal for an editor: {instead}, or set EDITOR")


def _keeps(path: Path, start: str) -> bool:
    """Keep a text that somebody wrote; drop the one that it began with."""
    if path.exists() and path.read_bytes() == start.encode():
        path.unlink()
    return path.exists()
