"""What the commands on clients and the doctor say."""

import shlex
import textwrap
from typing import TYPE_CHECKING, Any

from flex_mcp.answers import Answer
from flex_mcp.clients.configs import CLIENTS
from flex_mcp.clients.entries import NAME
from flex_mcp.clients.installing import Change, Made, Report
from flex_mcp.clients.places import Scope

if TYPE_CHECKING:
    from flex_mcp.doctor import Check

SAID = {
    Made.ADDED: "{0} is added to {1}",
    Made.REPLACED: "the entry {0} is made anew in {1}",
    Made.UNCHANGED: "{0} is there already, as it should be, in {1}",
    Made.REMOVED: "{0} is taken out of {1}",
    Made.ABSENT: "{0} is not in {1}",
}


def client_answer(report: Report) -> Answer:
    """What became of a client's files, and how to see that it works."""
    client = CLIENTS[report.client]
    check = client.check
    if report.scope is Scope.PROJECT and client.in_project:
        check += f"; {client.in_project}"
    lines = [line for one in report.changes for line in _change_lines(one, client.title)]
    if report.dry_run:
        lines = ["Dry run, nothing is changed.", *lines]
    if report.entry is not None:
        shown = client.format.put("", (client.root, NAME), report.entry)
        lines += ["", textwrap.indent(shown.rstrip(), "    "), "", f"To check: {check}."]
    elif any(one.made is Made.REMOVED for one in report.changes):
        lines.append(f"{client.title} knows it when it is started anew.")
    content: dict[str, Any] = {
        "client": str(report.client),
        "scope": str(report.scope),
        "dry_run": report.dry_run,
        "changes": [_change_content(one) for one in report.changes],
        "entry": report.entry,
        "check": None if report.entry is None else check,
    }
    return Answer(content, "\n".join(lines))


def _change_lines(change: Change, title: str) -> list[str]:
    said = SAID[change.made].format(NAME, f"{title}: {change.file}")
    lines = [said[0].upper() + said[1:] if not said.startswith(NAME) else said]
    lines += [f"By: {shlex.join(words)}" for words in change.commands]
    if change.backup is not None:
        lines.append(f"The file as it was: {change.backup}")
    return lines


def _change_content(change: Change) -> dict[str, Any]:
    return {
        "file": str(change.file),
        "made": str(change.made),
        "backup": None if change.backup is None else str(change.backup),
        "commands": [list(words) for words in change.commands],
    }


def doctor_answer(checks: "list[Check]") -> Answer:
    """One line a check, and below it how to mend what is not sound."""
    width = max(len(one.name) for one in checks)
    lines: list[str] = []
    for one in checks:
        lines.append(f"{one.state:<7}  {one.name:<{width}}  {one.says}")
        if one.mend is not None:
            lines.append(f"{'':<7}  {'':<{width}}  → {one.mend}")
    counts = {state: sum(one.state == state for one in checks) for state in ("fault", "warning")}
    content: dict[str, Any] = {
        "sound": not counts["fault"],
        "faults": counts["fault"],
        "warnings": counts["warning"],
        "checks": [
            {"name": one.name, "state": str(one.state), "says": one.says, "mend": one.mend}
            for one in checks
        ],
    }
    return Answer(content, "\n".join(lines))
