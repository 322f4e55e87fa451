"""Paths as people write them in settings and options: expanded, or refused with what to write.

Clients start servers in any folder and hand values on as they are, without a shell. A placeholder
that nobody filled in would be the name of a folder there, and the library in it an empty one.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from flex_mcp.errors import SettingError

SHOWN = 200  # characters of a value in a sentence
PLACEHOLDER = re.compile(
    r"""
      \$\{ (?:env:)? (?P<braced>\w+) (?: :- (?P<default>[^{}]*) )? \}  # ${NAME}, ${env:NAME}
    | \$ (?:env:)? (?P<bare>[a-z_]\w*)                                 # $NAME, $env:NAME
    | % (?P<windows>\w[\w()]*) %                                       # %NAME%
    | \{ env: (?P<env>\w+) \}                                          # {env:NAME}
    | (?! \{ [0-9a-f]{8} - ) \$? \{\{? \s* [a-z_] [^{}]* \}?\}  # ${a.b}, {{name}}, {name}; no GUID
    | [$%]\( [^()]* \) | ` [^`]* ` | < [^<>]* >                   # $(command), `command`, <name>
    | \$\{ | \{\{                                               # begun, and not ended
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
FULL = "write it out, from its beginning (~ is your home)"
QUOTES = "\"'\u2018\u2019\u201c\u201d"
FAULTS = (  # what no path of ours has, why it is refused, and what to write
    (r"^$", f"which is empty: {FULL}"),
    (r"[\0-\x1f\x7f-\x9f]", "which holds a control character: write it without"),
    (
        "[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]",
        "which holds what nobody sees: write it without",
    ),
    (r"[\ud800-\udfff]", "which holds bytes that are no UTF-8: name a place whose path is UTF-8"),
    (
        "^[\"'\u2018\u201c]|[\"'\u2019\u201d]$",
        "which stands in quotation marks: write it without them",
    ),
    (r"^~", f"which names a home that is not here: {FULL}"),
    (r"(?i)^(file:|[a-z][a-z0-9+.-]+:/)", f"which is an address: {FULL}"),
)
OF_FILES = ((r"[\\/]\.*$", "which is a folder: name a file in it"),)
OF_POSIX = ((r"^[A-Za-z]:/|\\", f"which is written as on Windows: {FULL}"),)


def read(
    text: str,
    name: str,
    variables: Mapping[str, str],
    *,
    folder: bool = False,
    relative: bool = True,
) -> Path:
    """The absolute path that a person means: `~` and variables that are set are expanded.

    Args:
        text: what was written.
        name: the setting or option, for the sentence.
        variables: the environment.
        folder: whether it is one; else it is a file.
        relative: whether it may begin in the current folder.

    Raises:
        SettingError: it holds what nothing fills in, or cannot be a path here.
    """
    path = _expanded(filled(text.strip(), variables))
    if (why := _fault(path, folder=folder, relative=relative)) is not None:
        raise SettingError(f"{name} is '{shown(text)}', {why}")
    return Path(path).absolute()


def filled(text: str, variables: Mapping[str, str]) -> str:
    """The text with the variables that are set in the place of their names."""

    def fill(found: re.Match[str]) -> str:
        name = next(filter(None, found.group("braced", "bare", "windows", "env")), "")
        name = name.upper() if os.name == "nt" else name  # as Python has them there
        return variables.get(name) or found["default"] or found[0]

    return PLACEHOLDER.sub(fill, text)


def is_folder(path: Path) -> bool:
    """Whether there is one that can be reached."""
    with contextlib.suppress(OSError, ValueError):  # a name that is too long, or no name
        return path.is_dir()
    return False


def shown(text: str) -> str:
    """A path in one line that can be printed, cut where it is long."""
    text = "".join(one if one.isprintable() else _code(one) for one in text)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _expanded(path: str) -> str:
    with contextlib.suppress(ValueError):  # no name of a person can be so
        return os.path.expanduser(path)  # a Path loses the slash at its end
    return path


def _fault(path: str, *, folder: bool, relative: bool) -> str | None:
    """What is wrong with a path that is expanded, and what to do about it."""
    if left := [found[0] for found in PLACEHOLDER.finditer(path)]:
        return f"and nothing here fills in {shown(', '.join(left))}: {FULL}"
    faults = [*FAULTS, *(() if folder else OF_FILES), *(OF_POSIX if os.sep == "/" else ())]
    for pattern, why in faults:
        if re.search(pattern, path):
            return why
    if not (relative or Path(path).is_absolute()):
        return f"which is no full path, and so another place in each folder: {FULL}"
    return None


def _code(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that Python could not read
        number &= 0xFF
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
