"""`flex-mcp distill`: working through the pending trajectories, stopped and run again."""

import json
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from support.distilling import (
    STOPPED,
    Desk,
    except_for,
    groups,
    numbered,
    systems,
    task_of,
    teaches,
)
from support.messages_api import Json, decision, nobody_listens
from support.patience import PATIENCE

from flex_mcp import open_library
from flex_mcp.learning import backlog
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.llm import AnthropicLLM
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import Wanted

DEAD = timedelta(seconds=30)  # after which the claims of a process that was killed have ended


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


# Which, and how many


def test_five_are_distilled_oldest_first_where_nothing_is_said(desk: Desk) -> None:
    ids = desk.pend(*numbered(9))
    with desk.asking(teaches) as api:
        assert desk.done("distill", "--jobs", "1")["remaining"] == 4
        assert groups(api) == [[id_] for id_ in ids[:5]]
        assert desk.done("distill", "--limit", "1")["remaining"] == 3
        assert desk.done("distill", "--all")["remaining"] == 0
    assert desk.states() == {"distilled": 9}


def test_those_named_are_distilled_however_many_and_the_others_wait(desk: Desk) -> None:
    ids = desk.pend(*numbered(9))
    with desk.asking(teaches) as api:
        answer = desk.done("distill", *ids[2:], ids[2])
        assert sorted(groups(api)) == sorted([id_] for id_ in ids[2:])  # that named twice, too
    assert {one["id"] for one in answer["trajectories"]} == set(ids[2:])
    assert (answer["remaining"], desk.states()) == (2, {"distilled": 7, "pending": 2})


def test_of_those_named_what_is_distilled_already_is_passed_over(desk: Desk) -> None:
    ids = desk.pend(*numbered(2))
    with desk.asking(teaches):
        desk.done("distill", ids[1])
        answer = desk.done("distill", *ids)
        refusal = desk.run("distill", *ids)
    assert [one["id"] for one in answer["trajectories"]] == [ids[0]]
    assert (refusal.exit_code, refusal.stdout) == (2, "")
    assert f"{ids[1]} is distilled, its lessons are in the library" in refusal.stderr


def test_failures_and_successes_of_one_task_are_seen_side_by_side(desk: Desk) -> None:
    bad = desk.pend("Sail home", "Cook rice", "Sail home")
    good = desk.pend("Sail home", outcome="success")
    with desk.asking(teaches) as api:
        answer = desk.done("distill", "--all", "--jobs", "1")
    assert groups(api) == [[bad[0], *good, bad[2]], [bad[1]]]
    assert "stand side by side" in systems(api)[0]
    assert [len(one["trajectories"]) for one in answer["groups"]] == [3, 1]


def test_as_many_groups_are_in_work_at_once_as_jobs_says(desk: Desk) -> None:
    desk.pend(*numbered(9))
    together, under_way, most = threading.Barrier(3), list[str](), list[int]()

    def critic(question: str) -> Sequence[Json]:
        under_way.append(question)
        together.wait(PATIENCE)  # breaks where fewer come
        most.append(len(under_way))
        together.wait(PATIENCE)
        under_way.remove(question)
        return teaches(question)

    with desk.asking(critic):
        desk.done("distill", "--all", "--jobs", "3")
    assert most == [3] * 9


def test_where_nothing_is_pending_nothing_is_asked(desk: Desk) -> None:
    open_library(desk.path).close()
    with desk.asking(teaches) as api:
        assert desk.done("distill")["decisions"] == []
        assert desk.done("distill", "--all", "--batch")["remaining"] == 0
    assert (api.requests, api.batches) == ([], {})


@pytest.mark.parametrize("batch", [(), ("--batch",)], ids=["at once", "in batches"])
def test_a_dry_run_shows_the_decisions_and_changes_nothing(
    desk: Desk, batch: tuple[str, ...]
) -> None:
    ids = desk.pend(*numbered(12), outcome="success")
    before = desk.run("export").stdout
    with desk.asking(teaches) as api:
        shown = desk.done("distill", "--all", "--dry-run", *batch)
        assert sorted(groups(api)) == sorted([id_] for id_ in ids)  # once each
        assert (shown["dry_run"], shown["remaining"]) == (True, 12)
        assert (desk.run("export").stdout, desk.states()) == (before, {"pending": 12})
        made = desk.done("distill", "--all", *batch)
    kinds = [[one["decision"] for one in answer["decisions"]] for answer in (shown, made)]
    assert kinds == [["add"] * 12] * 2


# What goes wrong


def test_a_group_without_a_usable_answer_stays_pending_and_the_others_go_on(desk: Desk) -> None:
    ids = desk.pend(*numbered(8))
    with desk.asking(except_for(teaches, "Well …", "Task number 2", "Task number 5")) as api:
        answer, sentence = desk.failed("distill", "--all")
        twice = sorted([[id_] for id_ in ids] + [[ids[2]], [ids[5]]])
        assert sorted(groups(api)) == twice  # asked once more, and given up
        text = desk.run("distill", "--all").stdout
    assert {id_ for one in answer["failures"] for id_ in one["trajectory_ids"]} == {ids[2], ids[5]}
    assert sentence == answer["failures"][0]["reason"]
    assert "answered twice what cannot be used" in sentence
    (line,) = [line for line in text.splitlines() if line.startswith("Still pending: ")]
    assert ids[2] in line
    assert ids[5] in line
    assert desk.states() == {"distilled": 6, "pending": 2}
    assert answer["remaining"] == 2
    with desk.asking(teaches):
        assert desk.done("distill", "--all")["remaining"] == 0


@pytest.mark.parametrize("batch", [(), ("--batch",)], ids=["at once", "in batches"])
@pytest.mark.parametrize("reason", ["refused the key (401)", "cannot be reached"])
def test_a_model_that_cannot_be_asked_ends_it_at_once_and_all_are_free(
    desk: Desk,
    reason: str,
    batch: tuple[str, ...],
) -> None:
    desk.pend(*numbered(9))
    with desk.asking(teaches, key="another") as api, nobody_listens() as nowhere:
        if reason == "cannot be reached":
            desk.set("ANTHROPIC_BASE_URL", nowhere)
        answer, sentence = desk.failed("distill", "--all", "--jobs", "2", *batch)
        assert len(api.headers) <= 2
    assert (reason in sentence, "the trajectories stay pending" in sentence) == (True, True)
    assert answer["stopped"] == sentence
    assert (answer["remaining"], answer["elsewhere"], desk.states()) == (9, 0, {"pending": 9})
    with desk.asking(teaches):
        assert desk.done("distill", "--all")["remaining"] == 0


@pytest.mark.parametrize(
    ("settings", "arguments", "sentence"),
    [
        ({"ANTHROPIC_API_KEY": ""}, (), "there is no model to ask: set ANTHROPIC_API_KEY, or let "),
        (
            {"FLEX_MCP_DISTILLER": "assistant"},
            (),
            "FLEX_MCP_DISTILLER=assistant leaves the lessons to your assistant: let it call distill",
        ),
        ({"FLEX_MCP_DISTILLER": "sampling"}, ("--batch",), "FLEX_MCP_DISTILLER=sampling leaves "),
        ({}, ("--all", "--limit", "3"), "give ids, --all or --limit, only one of them"),
        ({}, ("t_x", "--all"), "give ids, --all or --limit, only one of them"),
        ({}, ("t_x", "--limit", "1"), "give ids, --all or --limit, only one of them"),
        ({}, ("t_unknown",), "there is no trajectory t_unknown: "),
        ({}, ("--limit", "0"), "Invalid value for '--limit': 0 is not in the range x>=1"),
        ({}, ("--jobs", "33"), "Invalid value for '--jobs': 33 is not in the range 1<=x<=32"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_asked(
    desk: Desk,
    settings: dict[str, str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    desk.pend(*numbered(2))
    with desk.asking(teaches) as api:
        for name, value in settings.items():
            desk.set(name, value)
        result = desk.run("distill", *arguments)
    assert (result.exit_code, result.stdout, api.headers) == (2, "", [])
    assert result.stderr.startswith(f"flex-mcp: {sentence}")
    assert desk.states() == {"pending": 2}


# What it says


def test_the_answer_as_json_says_all_that_was_done(desk: Desk) -> None:
    ids = desk.pend(*numbered(2))
    with desk.asking(except_for(teaches, "Well …", "Task number 1")):
        answer, sentence = desk.failed("distill")
    (group,) = answer["groups"]
    (made,) = answer["decisions"]
    assert (made["decision"], made["index"]) == ("add", 0)
    assert group["trajectories"][0]["id"] == ids[0]
    assert answer == {
        "road": "anthropic",
        "model": "claude-haiku-5-5",
        "prompts": "critic 2, critic_failure 1, updater 1",
        "tokens": group["tokens"],
        "trajectories": group["trajectories"],
        "decisions": [made],
        "remaining": 1,
        "elsewhere": 0,
        "dry_run": False,
        "groups": [group],
        "failures": [{"trajectory_ids": [ids[1]], "reason": sentence}],
        "stopped": None,
    }


def test_stats_count_tokens_by_model_and_road_those_of_failures_too(
    desk: Desk,
) -> None:
    desk.pend(*numbered(2))
    with desk.asking(except_for(teaches, "Well …", "Task number 1")):
        desk.failed("distill")
    desk.set("FLEX_MCP_MODEL", "claude-large")
    with desk.asking(teaches):
        tokens = desk.done("distill")["tokens"]
    cheap, large = desk.done("stats")["spent"]
    assert [cheap["model"], cheap["questions"], cheap["road"]] == [
        "claude-haiku-5-5",
        3,
        "anthropic",
    ]
    assert (large["model"], large["questions"]) == ("claude-large", 2)  # compared with the first
    assert large["input_tokens"] + large["output_tokens"] == tokens
    assert cheap["input_tokens"] > 3 * 400
    read, written = (f"{large[f'{way}_tokens']:,}" for way in ("input", "output"))
    line = f"claude-large by anthropic: 2 questions, {read} tokens read, {written} written"
    assert line in desk.run("stats").stdout


# Killed, stopped, and two at once


class AccessControl:
    """A critic that answers nothing about these tasks until it is opened."""

    def __init__(self, *tasks: str) -> None:
        self._tasks = tasks
        self._reached, self._open = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def __call__(self, question: str) -> Sequence[Json]:
        if task_of(question) in self._tasks:
            self._reached.set()
            self._open.wait()
        return teaches(question)

    def wait(self) -> None:
        assert self._reached.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()


@pytest.mark.process
def test_a_kill_loses_what_is_in_work_and_that_stays_pending(desk: Desk) -> None:
    ids = desk.pend(*numbered(6))
    gate = AccessControl("Task number 3")
    with desk.asking(gate) as api, gate:
        with desk.started("--all", "--jobs", "1") as process:
            gate.wait()
            process.send_signal(signal.SIGKILL)
            process.communicate()
        gate.open()
        assert desk.states() == {"distilled": 3, "pending": 3}
        desk.later(DEAD)
        answer = desk.done("distill", "--all")
        assert answer["remaining"] == 0
        assert sorted(groups(api)) == sorted([[id_] for id_ in ids] + [[ids[3]]])
    assert {one["id"] for one in answer["trajectories"]} == set(ids[3:])
    desk.check_whole(ids)


def test_all_waits_for_what_a_dead_process_had_claimed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.pend(*numbered(3))
    with open_library(desk.path) as library:  # what a kill leaves
        dead = Distiller(library, Prompts()).open(Wanted(), AnthropicLLM("a key", model="a model"))
    assert dead
    with desk.asking(teaches):
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            desk.later(DEAD)

        monkeypatch.setattr(backlog.time, "sleep", sleep)
        assert desk.done("distill", "--limit", "9")["elsewhere"] == 1
        assert waited == []
        assert desk.done("distill", "--all")["remaining"] == 0
        assert waited
    desk.check_whole(ids)


@pytest.mark.process
def test_ctrl_c_ends_what_is_in_work_and_begins_nothing_more(desk: Desk) -> None:
    ids = desk.pend(*numbered(4))
    gate = AccessControl("Task number 1")
    with desk.asking(gate) as api, gate:
        with desk.started("--all", "--jobs", "1") as process:
            gate.wait()
            process.send_signal(signal.SIGINT)
            gate.open()
            out, err = process.communicate()
        assert (process.returncode, out, err) == (1, "", STOPPED)
        assert groups(api) == [[id_] for id_ in ids[:2]]
        assert desk.states() == {"distilled": 2, "pending": 2}
        assert desk.done("distill", "--all")["remaining"] == 0
    desk.check_whole(ids)


@pytest.mark.process
def test_two_processes_at_once_never_distil_one_trajectory_twice(desk: Desk) -> None:
    ids = desk.pend(*numbered(12))
    both = threading.Barrier(2)
    first = [both.wait, both.wait]  # each process, at its first question, waits for the other

    def critic(question: str) -> Sequence[Json]:
        if first:
            first.pop()(PATIENCE)
        return teaches(question)

    with desk.asking(critic) as api, ExitStack() as stack:
        jobs = ("--all", "--jobs", "1", "--json")
        processes = [stack.enter_context(desk.started(*jobs)) for _ in range(2)]
        answers = [process.communicate() for process in processes]
        assert sorted(groups(api)) == sorted([id_] for id_ in ids)
    assert [process.returncode for process in processes] == [0, 0], answers
    made = [json.loads(out)["trajectories"] for out, _ in answers]
    assert all(made)
    assert sorted(one["id"] for some in made for one in some) == sorted(ids)
    desk.check_whole(ids)


def test_of_two_merges_into_one_experience_at_once_the_second_sees_what_the_first_made(
    desk: Desk,
) -> None:
    ids = desk.pend(*numbered(3))
    with desk.asking(teaches):
        (first,) = desk.done("distill", ids[0])["decisions"]
    both = threading.Barrier(2)

    def updater(question: str) -> Sequence[Json]:
        if "Know two" not in question:  # each has seen the experience as it was
            both.wait(PATIENCE)
        text = {"title": "Know more", "lesson": f"Know two. {len(question)}"}
        return [decision(0, "merge", into=first["experience_id"], **text)]

    with desk.asking(teaches, updater) as api:
        answer = desk.done("distill", "--all")
        assert len(groups(api)) == 2  # the critic is not asked again
    assert [one["decision"] for one in answer["decisions"]] == ["merge", "merge"]
    (shown,) = desk.done("show", first["experience_id"])["experiences"]
    assert sorted(shown["evidence"]) == sorted(ids)
    assert [one["kind"] for one in shown["history"]] == ["add", "merge", "merge"]
