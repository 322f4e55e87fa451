"""The command line as a user has it: in this process, or as a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from flex_mcp.cli.main import main


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
