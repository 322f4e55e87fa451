"""How an answer looks: plain and always the same in a pipe, and made for eyes at a terminal.

In a pipe nothing is wrapped, coloured or cut, and times are in UTC. A terminal gets tables, marked
text, its own time and lines of its width. What others wrote is shown with all its signs: Markdown
would hide some.
"""

import codecs
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from flex_mcp.safety.quoting import all_visible, one_line, quoted, visible
from flex_mcp.settings import environment
from flex_mcp.tools.answers import Answer

if TYPE_CHECKING:
    from rich.console import Console  # late: it is only needed at a terminal
    from rich.text import Text

Cell = str | tuple[str, ...]  # of several, one a line where there is room
WORDS = {
    **dict.fromkeys(("golden", "success", "add", "ok"), "green"),
    **dict.fromkeys(("warning", "failure", "quarantined", "fault"), "red"),
    **dict.fromkeys(("mixed", "partial", "pending"), "yellow"),
    **dict.fromkeys(("retired", "skipped", "unknown"), "dim"),
}
ASCII = "flex_mcp_ascii"
REMOVED, ADDED, HEAD = "red", "green", "bold"
WORD, READABLE = 20, 10  # characters: of a word that is not broken, and of a narrow text
GAP = 2  # between columns
MARKED = re.compile(r"\*\*(.+?)\*\*|`([^`\n]+)`")
HANGING = re.compile(r"\s*(?:[-+*] |\d+[.)] )?")  # what the lines after a wrapped one stand behind
PLAINER = {
    "…": "...",
    "→": "->",
    "\u2013": "-",
    "\u2014": "-",
    "·": "-",
    "≤": "<=",
    "≥": ">=",
    "│": "|",
    "“": '"',
    "”": '"',
    "\u2018": "'",
    "\u2019": "'",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with a name for each column; `headed` shows the names in a pipe, too."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    headed: bool = False

    @property
    def text(self) -> str:
        lines = [[_joined(cell) for cell in row] for row in self.rows]
        lines = [[*self.columns], *lines] if self.headed else lines
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """Lines that others wrote, below a heading of ours."""

    heading: str
    lines: Sequence[Line]

    @property
    def text(self) -> str:
        return quoted(self.heading, *(line.text for line in self.lines))


Part = str | Table | Quote  # a text may have our marks: **, ` and > before what others wrote


@dataclass(slots=True)
class Page:
    """An answer in parts, one below the other; `note` is said on stderr, after it."""

    content: dict[str, Any]
    parts: Sequence[Part]
    note: str = ""

    def __post_init__(self) -> None:
        self.content = all_visible(self.content)

    @classmethod
    def of(cls, answer: Answer) -> "Page":
        """A tool's answer, whose text has our marks."""
        return cls(answer.content, [answer.text])

    def noting(self, sentence: str | None) -> "Page":
        """The same with one more notice."""
        if sentence is None:
            return self
        notice = "; ".join(filter(None, (self.content.get("notice"), sentence)))
        note = "; ".join(filter(None, (self.note, sentence)))
        return replace(self, content=self.content | {"notice": notice}, note=note)

    @property
    def text(self) -> str:
        """The whole, plain."""
        texts = (part if isinstance(part, str) else part.text for part in self.parts)
        return visible("\n".join(texts))


def _joined(cell: Cell) -> str:
    return one_line(cell) if isinstance(cell, str) else "; ".join(map(one_line, cell))


def is_terminal() -> bool:
    """Whether a person reads what we say, on a screen that can do more than a typewriter."""
    try:
        watched = sys.stdout.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False
    return watched and environment().get("TERM") not in {"dumb", "unknown"}


def moment(at: datetime) -> str:
    """A time: that of the machine at a terminal, else in UTC."""
    try:
        if is_terminal():
            return at.astimezone().strftime("%Y-%m-%d %H:%M")
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # beyond what systems know
        return at.isoformat()


def print_page(page: Page) -> None:
    """To stdout, as whoever reads it likes it; the note to stderr."""
    if is_terminal():
        _print_rich(page.parts)
    else:
        click.echo(page.text)
    if page.note:
        click.echo(f"flex-mcp: {page.note}", err=True)


def _print_rich(parts: Iterable[Part]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, force_terminal=True)
    for part in parts:
        match part:
            case str():
                _print_text(console, _written(part))
            case Table():
                _print_table(console, part)
            case Quote():
                console.print(_marked(_written(part.heading), HEAD))
                for line in part.lines:
                    for each in _written(line.text).splitlines():
                        _print_quoted(console, each, line.style)


def _written(text: str) -> str:
    """A text as the output's encoding will have it, so that its width is known."""
    encoding = sys.stdout.encoding or "utf-8"
    return visible(text).encode(encoding, "flex_mcp.plainer").decode(encoding)


def _print_table(console: "Console", table: Table) -> None:
    """A table; where its words do not stand side by side, each row as a table of its own."""
    if any(table.columns) and sum(map(_least, *_columns(table))) > console.width:
        for row in table.rows:
            _print_grid(console, Table(("", ""), [*zip(table.columns, row, strict=True)]))
            console.print()
    else:
        _print_grid(console, table)


def _print_grid(console: "Console", table: Table) -> None:
    from rich import table as tables
    from rich.text import Text

    grid = tables.Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style=HEAD)
    grid.show_header = any(table.columns)
    for name, cells in zip(*_columns(table), strict=True):
        grid.add_column(name, no_wrap=all(map(_is_word, cells)), overflow="fold")
    for row in table.rows:
        cells = ((cell,) if isinstance(cell, str) else cell for cell in row)
        lines = ("\n".join(_written(one_line(each)) for each in cell) for cell in cells)
        grid.add_row(*(Text(line, WORDS.get(line, "")) for line in lines))
    console.print(grid)


def _columns(table: Table) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    """The names of the columns, and their cells."""
    return table.columns, [*zip(*table.rows, strict=True)] or [()] * len(table.columns)


def _least(name: str, cells: Sequence[Cell]) -> int:
    """The least width with which a column can be read."""
    width = max(map(len, cells), default=0) if all(map(_is_word, cells)) else READABLE
    return max(width, len(name)) + GAP


def _is_word(cell: Cell) -> bool:
    """Whether it stays in one piece: the columns of texts get the room that these leave."""
    return isinstance(cell, str) and " " not in cell and len(cell) <= WORD


def _print_text(console: "Console", text: str) -> None:
    for line in text.splitlines() or [""]:
        if line.startswith(">"):
            _print_quoted(console, line[1:].removeprefix(" "), "")
        else:
            console.print(_marked(line))


def _print_quoted(console: "Console", line: str, style: str) -> None:
    """A line that others wrote, with a bar before each piece of it."""
    from rich.text import Text

    bar = "│ " if (console.encoding or "").lower().startswith("utf") else "| "
    room = max(console.width - len(bar), 8)
    for piece in _pieces(console, line, style, room):
        console.print(Text.assemble((bar, "dim"), piece), no_wrap=True, overflow="ignore")


def _pieces(console: "Console", line: str, style: str, room: int) -> Iterator["Text"]:
    """A line wrapped to so many columns; items of a list hang."""
    from rich.text import Text

    start = HANGING.match(line)
    lead = start[0] if start and len(start[0]) < room // 2 else ""
    wrapped = _marked(line[len(lead) :], style).wrap(console, room - len(lead))
    for number, piece in enumerate(wrapped or [Text()]):
        piece.rstrip()
        yield Text.assemble((lead if number == 0 else " " * len(lead), style), piece)


def _marked(line: str, style: str = "") -> "Text":
    """A line with our marks as styles."""
    from rich.text import Text

    made, past = Text(style=style), 0
    for found in MARKED.finditer(line):
        made.append(line[past : found.start()])
        made.append(found[1] or found[2], "bold" if found[1] else "cyan")
        past = found.end()
    made.append(line[past:])
    return made


def plainer(error: UnicodeError) -> tuple[str, int]:
    """Signs that the output's encoding lacks, as signs that every encoding has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAINER.get(sign) or _escaped(sign) for sign in lacking), error.end


def _escaped(sign: str) -> str:
    return sign.encode("ascii", "backslashreplace").decode()


def legible(stream: object) -> None:
    """Let a stream write what its encoding lacks in other signs.

    Click takes ASCII for a mistake and writes UTF-8 instead, which a terminal of ASCII cannot show:
    so it does not learn the name.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return
    encoding = ASCII if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding
    stream.reconfigure(encoding=encoding, errors="flex_mcp.plainer")


def _ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII by another name."""
    if name.replace("-", "_") != ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        incrementalencoder=known.incrementalencoder,
        incrementaldecoder=known.incrementaldecoder,
        name=ASCII,
    )


codecs.register(_ascii)
codecs.register_error("flex_mcp.plainer", plainer)


def as_cell(value: object) -> str:
    """A value as a cell of a table."""
    match value:
        case None:
            return ""
        case datetime():
            return moment(value)
        case tuple():
            return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            return str(value)
