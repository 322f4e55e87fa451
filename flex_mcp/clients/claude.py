"""Claude Code's own command, which changes its user file: it rewrites that file all the time."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from flex_mcp.clients.entries import LIBRARY, NAME, Entry, mapping
from flex_mcp.clients.places import Machine
from flex_mcp.clients.programs import find
from flex_mcp.errors import ClientCommandError

SECONDS = 60
REMOVING = ["mcp", "remove", "--scope", "user", NAME]
PLAIN = {"type", "command", "args", "env"}  # what `claude mcp add` can say
NEXT = "check that `claude mcp list` works, then try again"
BATCH = {".cmd", ".bat"}
UNSAFE = re.compile(r'[&|<>^%"!\r\n]')  # cmd.exe reads these in the words of a batch file


def command(machine: Machine) -> str | None:
    """The path of `claude`, if there is one."""
    return find("claude", machine.variables)


def adding(entry: Entry) -> list[str]:
    """The words after `claude` that add our entry to the user's."""
    if entry.keys() - PLAIN:
        return ["mcp", "add-json", "--scope", "user", NAME, json.dumps(entry, ensure_ascii=False)]
    variables = [f"{name}={value}" for name, value in mapping(entry.get("env")).items()]
    words = ["mcp", "add", "--scope", "user", NAME]
    words += [word for variable in variables for word in ("-e", variable)]
    return [*words, "--", entry["command"], *entry["args"]]


def shown(words: Sequence[str]) -> list[str]:
    """The words without the values of variables that are not ours: they may be keys."""
    if words[1] == "add-json":
        return [*words[:-1], "…"]
    return [
        word.partition("=")[0] + "=…"
        if before == "-e" and not word.startswith(LIBRARY + "=")
        else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def can_take(claude: str, words: Sequence[str]) -> bool:
    """Whether the words reach it as they are."""
    return Path(claude).suffix.lower() not in BATCH or not any(map(UNSAFE.search, words))


def run(claude: str, words: Sequence[str], machine: Machine) -> None:
    """Let it work, in the home: in a project it would read that project's settings.

    Raises:
        ClientCommandError: it did not go well.
    """
    import subprocess

    moved = machine.variable("CLAUDE_CONFIG_DIR")  # may be relative to the current folder
    variables = {**machine.variables, **({"CLAUDE_CONFIG_DIR": str(moved)} if moved else {})}
    try:
        done = subprocess.run(  # noqa: S603  the user's own claude, with words of ours
            [claude, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=machine.home,
            env=variables,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = f"did not end in {SECONDS} s"
        if isinstance(error, OSError):
            why = f"cannot be started ({error.strerror})"
        raise ClientCommandError(f"`{claude} mcp {words[1]}` {why}: {NEXT}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())[:300]
        raise ClientCommandError(f"`{claude} mcp {words[1]}` failed ({said}): {NEXT}")
