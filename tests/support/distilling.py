"""`flex-mcp` on a library of its own, and a Messages API on the loopback that it asks.

A `Desk` runs the commands in this process, or as processes of their own where that is the point.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner, Result

from flex_mcp import open_library
from flex_mcp.cli.main import main
from flex_mcp.models import TrajectoryState
from support.messages_api import (
    Api,
    Json,
    Reaction,
    Role,
    adds,
    critic_and_updater,
    lesson,
    messages_api,
    question_of,
)

STOPPED = "flex-mcp: stopped; run it again to go on, a batch goes on by itself\n"


PROGRESS = re.compile(r"(Recording|Distilling) [\d,]+ of [\d,]+\n")  # of work that takes long


class Desk:
    """One user's terminal."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "library.db"
        self.set = monkeypatch.setenv

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        given = [*arguments, "--library", str(self.path)]
        result = CliRunner().invoke(main, given, input=stdin, prog_name="flex-mcp")
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        return result

    def done(self, *arguments: str, stdin: str | None = None) -> Json:
        """What a command that goes well answers."""
        result = self.run(*arguments, "--json", stdin=stdin)
        assert (result.exit_code, PROGRESS.sub("", result.stderr)) == (0, "")
        return json.loads(result.stdout)

    def failed(self, *arguments: str) -> tuple[Json, str]:
        """What a command answers whose work did not go well, and its sentence."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 1
        return json.loads(result.stdout), result.stderr.removeprefix("flex-mcp: ").strip()

    def pend(self, *tasks: str, outcome: str = "failure", **values: object) -> list[str]:
        """Record trajectories of these tasks; their ids."""
        of_all = {"outcome": outcome} | values
        items = [of_all | {"task": task, "answer": str(n)} for n, task in enumerate(tasks)]
        recorded = self.done("record", stdin=json.dumps(items))["recorded"]
        return [one["trajectory_id"] for one in recorded]

    def states(self) -> dict[str, int]:
        return self.done("stats")["by_state"]

    @contextmanager
    def asking(
        self, critic: Role, updater: Role = adds, *, key: str | None = None, polls: int = 0
    ) -> Generator[Api]:
        """With a model that answers so."""
        with messages_api(critic_and_updater(critic, updater), key=key, polls=polls) as api:
            self.set("ANTHROPIC_API_KEY", "a key")
            self.set("ANTHROPIC_BASE_URL", api.url)
            yield api

    @contextmanager
    def started(self, *arguments: str) -> Generator["subprocess.Popen[str]"]:
        """`flex-mcp distill` as a process of its own, which does not outlive the block."""
        command = [sys.executable, "-P", "-m", "flex_mcp", "distill", "--library", str(self.path)]
        pipe = subprocess.PIPE
        process = subprocess.Popen([*command, *arguments], stdout=pipe, stderr=pipe, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def later(self, by: timedelta) -> None:
        """Move the claims back, as if so much time had passed.

        Those of a process that was killed last half a minute, or a day where it waits for a batch:
        nobody wants to wait for that in a test.
        """
        moved = "strftime('%Y-%m-%dT%H:%M:%f', expires_at, ?) || '+00:00'"
        with apsw.Connection(str(self.path)) as db:
            back = f"-{by.total_seconds()} seconds"
            db.execute(f"UPDATE briefs SET expires_at = {moved}", [back])  # noqa: S608  a literal
        db.close()

    def check_whole(self, trajectory_ids: Sequence[str]) -> None:
        """All are distilled, with one lesson each, and every experience says from which."""
        with open_library(self.path) as library:
            found = library.trajectories(trajectory_ids)
            evidence = [one.evidence for one in library.experiences()]
        assert [one.state for one in found] == [TrajectoryState.DISTILLED] * len(trajectory_ids)
        assert sorted(evidence) == sorted((id_,) for id_ in trajectory_ids)


def numbered(count: int) -> list[str]:
    return [f"Task number {number}" for number in range(count)]


def task_of(question: str) -> str:
    """The first task that a critic's question shows."""
    return re.findall(r"^> Task: (.*)$", question, re.MULTILINE)[0]


def teaches(question: str) -> list[Json]:
    """A critic with one lesson, which only this task gives."""
    return [lesson(f"Know this about {task_of(question).lower()}.")]


def except_for(
    critic: Callable[[str], list[Json]], reaction: Reaction | Callable[[], Reaction], *tasks: str
) -> Role:
    """A critic that does something else about some tasks."""

    def other(question: str) -> Sequence[Json] | Reaction:
        if task_of(question) not in tasks:
            return critic(question)
        return reaction() if callable(reaction) else reaction

    return other


def bodies(api: Api) -> list[Json]:
    """All that was asked, one by one and in batches."""
    batched = [one["params"] for batch in api.batches.values() for one in batch.requests]
    return [*api.requests, *batched]


def groups(api: Api) -> list[list[str]]:
    """The trajectories that each of the critic's questions showed."""
    shown = [re.findall(r"^### (t_\w+) ", question_of(one), re.MULTILINE) for one in bodies(api)]
    return [ids for ids in shown if ids]


def systems(api: Api) -> list[Any]:
    return [one["system"][0]["text"] for one in bodies(api)]
