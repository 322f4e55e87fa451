"""The command line as a user has it: in this process, or as a process of its own."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from flex_mcp.cli.main import main

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LOOKS = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM"}


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    given = [*map(str, arguments)]
    result = CliRunner().invoke(main, given, input=stdin, prog_name="flex-mcp")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def done(*arguments: str | Path, stdin: str | None = None) -> str:
    """What a command says on stdout; it must go well, and say nothing else."""
    result = run(*arguments, stdin=stdin)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def done_json(*arguments: str | Path, stdin: str | None = None) -> dict[str, Any]:
    return json.loads(done(*arguments, "--json", stdin=stdin))


def refused(*arguments: str | Path, stdin: str | None = None) -> str:
    """The sentence with which a command is refused: one line on stderr, exit code 2."""
    result = run(*arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("flex-mcp: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("flex-mcp: ").strip()


def process(
    *arguments: str | Path, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with these variables beside the machine's."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "flex_mcp", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=dict(os.environ) | variables,  # noqa: TID251  a child's
    )


def completed(words: str, *, by: str = "bash") -> list[str]:
    """What the shell offers at the end of these words."""
    variables = {
        "_FLEX_MCP_COMPLETE": f"{by}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")) if by != "fish" else words.rsplit(" ", maxsplit=1)[-1],
    }
    return CliRunner().invoke(main, [], env=variables, prog_name="flex-mcp").stdout.split()


class Screen:
    """The command at a terminal of its own, whose size and variables the test chooses."""

    def __init__(self, *arguments: str | Path, columns: int = 80, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        known = dict(os.environ)  # noqa: TID251  a child's
        chosen = {name: text for name, text in known.items() if name not in LOOKS}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flex_mcp", *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=chosen | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | variables,
            start_new_session=True,
        )
        os.close(theirs)
        self._shown = b""

    def until(self, words: str) -> None:
        """Wait until the screen shows these words."""
        while words.encode() not in self._shown:
            self._shown += os.read(self._ours, 65_536)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def after(self, line: str, until: str) -> str:
        """What is shown after a line was typed, once it shows these words."""
        self._shown = b""
        self.type(f"{line}\n")
        self.until(until)
        return ESCAPES.sub("", self._shown.decode().replace("\r\n", "\n"))

    def end(self, encoding: str = "utf-8") -> str:
        """All that it showed until the command ended."""
        with contextlib.suppress(OSError):  # nobody holds the other end
            while more := os.read(self._ours, 65_536):
                self._shown += more
        self.process.wait()
        os.close(self._ours)
        return self._shown.decode(encoding).replace("\r\n", "\n")


def on_screen(*arguments: str | Path, encoding: str = "utf-8", **looks: Any) -> str:
    """What a command shows at a terminal; it must go well."""
    screen = Screen(*arguments, PYTHONIOENCODING=encoding, **looks)
    shown = screen.end(encoding)
    assert screen.process.returncode == 0, shown
    return shown
