"""`flex-mcp distill --batch`: both questions by message batches, and what a run leaves is taken up."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from support.distilling import (
    STOPPED,
    Desk,
    except_for,
    groups,
    numbered,
    task_of,
    teaches,
)
from support.messages_api import (
    BATCHES,
    Api,
    Fault,
    Json,
    decision,
    expired,
    lesson,
    question_of,
    status,
)
from support.patience import PATIENCE

from flex_mcp.learning import backlog
from flex_mcp.models import Level, Zone

NOW = ("--all", "--batch")
SILENT = backlog.ALIVE + timedelta(seconds=1)  # after which the process must be dead
UNENDING = 1_000_000  # looks at a batch that is under way


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def apart(question: str) -> list[Json]:
    """A critic whose lessons are never compared: each has a zone or level of its own."""
    number = int(task_of(question).split()[-1])
    return [lesson(zone=[*Zone][number % 3], level=[*Level][number // 3])]


def batches(api: Api) -> list[list[Json]]:
    """The questions of each batch."""
    return [[one["params"] for one in batch.requests] for batch in api.batches.values()]


def until(happened: Callable[[], object]) -> None:
    """Wait for what a process does."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def asked_for(api: Api) -> bool:
    """Whether somebody has looked whether the batches have ended."""
    return any(batch.polls < UNENDING for batch in api.batches.values())


def end_batches(api: Api) -> None:
    for batch in api.batches.values():
        batch.polls = 0


def test_all_groups_go_into_one_batch_for_each_of_both_questions(desk: Desk) -> None:
    first = desk.pend("Fly to the moon")
    with desk.asking(teaches):
        desk.done("distill")
    ids = desk.pend(*numbered(7))

    def updater(_: str) -> Sequence[Json]:
        (known,) = desk.done("list")["experiences"]
        return [decision(0, "discard", into=known["id"])]

    with desk.asking(teaches, updater) as api:
        answer = desk.done("distill", *NOW)
        assert api.requests == []
        critic, updating = batches(api)
    assert (len(critic), len(updating)) == (7, 7)
    assert all("## Lesson 0 " in question_of(one) for one in updating)
    assert [one["decision"] for one in answer["decisions"]] == ["discard"] * 7
    assert answer["remaining"] == 0
    (experience,) = desk.done("list")["experiences"]
    shown = desk.done("show", experience["id"])["experiences"][0]
    assert sorted(shown["evidence"]) == sorted([*first, *ids])
    assert (shown["origin"]["road"], shown["independent"]) == ("anthropic", 8)


def test_tokens_of_batches_are_counted(desk: Desk) -> None:
    desk.pend(*numbered(3))
    with desk.asking(apart):
        answer = desk.done("distill", *NOW)
    (spent,) = desk.done("stats")["spent"]
    assert (spent["questions"], spent["road"]) == (3, "anthropic")
    assert spent["input_tokens"] + spent["output_tokens"] == answer["tokens"] > 0


def test_a_malformed_answer_is_asked_for_once_more_in_the_next_batch(desk: Desk) -> None:
    ids = desk.pend(*numbered(4))
    said = ["Well …"]
    answers = except_for(
        apart, lambda: said.pop() if said else json.dumps({"lessons": []}), numbered(3)[2]
    )
    with desk.asking(answers) as api:
        answer = desk.done("distill", *NOW)
        first, again = batches(api)
    assert (len(first), len(again), answer["remaining"]) == (4, 1, 0)
    said_so = [one["role"] for one in again[0]["messages"]]
    assert said_so == ["user", "assistant", "user"]
    assert "That answer cannot be used" in again[0]["messages"][2]["content"]
    assert desk.states() == {"distilled": 3, "skipped": 1}
    assert len(answer["trajectories"]) == len(ids)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (expired(), "did not answer it (expired); the trajectories stay pending: run it again"),
        (
            status(500, "full"),
            "did not answer it (errored: full); the trajectories stay pending: run it again",
        ),
    ],
)
def test_a_question_that_a_batch_did_not_answer_stays_pending_and_the_others_go_on(
    desk: Desk, fault: Fault, reason: str
) -> None:
    ids = desk.pend(*numbered(3))
    with desk.asking(except_for(apart, fault, numbered(2)[1])):
        answer, sentence = desk.failed("distill", *NOW)
    assert sentence.endswith(reason)
    assert answer["failures"] == [{"trajectory_ids": [ids[1]], "reason": sentence}]
    assert (answer["remaining"], answer.get("stopped")) == (1, None)
    assert desk.states() == {"distilled": 2, "pending": 1}
    with desk.asking(apart):
        assert desk.done("distill", *NOW)["remaining"] == 0
    desk.check_whole(ids)


# Stopped, and taken up


def killed(desk: Desk, process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()
    desk.later(SILENT)


def interrupted(desk: Desk, process: "subprocess.Popen[str]") -> None:  # noqa: ARG001  the same shape
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (1, "", STOPPED)


@pytest.mark.process
@pytest.mark.parametrize("stop", [killed, interrupted])
def test_a_run_that_was_stopped_while_it_waited_is_taken_up_without_asking_again(
    desk: Desk, stop: Callable[[Desk, "subprocess.Popen[str]"], None]
) -> None:
    ids = desk.pend(*numbered(4))
    with desk.asking(apart, polls=UNENDING) as api:
        with desk.started(*NOW) as process:
            until(lambda: asked_for(api))
            stop(desk, process)
        assert desk.states() == {"pending": 4}
        assert desk.done("distill", "--limit", "9")["elsewhere"] == 4  # not asked one by one too
        end_batches(api)
        answer = desk.done("distill", *NOW)
        assert (len(api.batches), api.requests) == (1, [])
    assert (len(answer["trajectories"]), answer["remaining"]) == (4, 0)
    desk.check_whole(ids)


@pytest.mark.process
def test_a_run_that_still_waits_keeps_its_batch_to_itself(desk: Desk) -> None:
    ids = desk.pend(*numbered(3))
    with desk.asking(apart, polls=UNENDING) as api, desk.started(*NOW, "--json") as process:
        until(lambda: asked_for(api))
        other = desk.done("distill", *NOW)
        assert (other["trajectories"], other["elsewhere"]) == ([], 3)
        end_batches(api)
        out, _ = process.communicate()
        assert len(json.loads(out)["trajectories"]) == 3
        assert len(groups(api)) == 3
    desk.check_whole(ids)


def ctrl_c(_: float) -> None:
    raise KeyboardInterrupt


def test_a_run_that_was_stopped_between_the_questions_goes_on_with_the_second(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.pend("Fly to the moon")
    with desk.asking(teaches):
        desk.done("distill")
    ids = desk.pend(*numbered(2))
    monkeypatch.setattr(backlog.time, "sleep", ctrl_c)
    with desk.asking(teaches, polls=UNENDING) as api:
        assert desk.run("distill", *NOW).exit_code == 1
        end_batches(api)  # the critic's; the updater's are under way again
        assert desk.run("distill", *NOW).exit_code == 1
        assert len(api.batches) == 2
        end_batches(api)
        answer = desk.done("distill", *NOW)
        assert (len(api.batches), len(groups(api))) == (2, 2)
    assert sorted(one["id"] for one in answer["trajectories"]) == sorted(ids)


def test_named_again_after_a_stop_they_take_up_their_batch(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.pend(*numbered(3))
    monkeypatch.setattr(backlog.time, "sleep", ctrl_c)
    with desk.asking(apart, polls=UNENDING) as api:
        assert desk.run("distill", *ids[:2], "--batch").exit_code == 1
        refusal = desk.run("distill", *ids[:2])  # at once, while a batch carries them
        assert (refusal.exit_code, "save_lessons" in refusal.stderr) == (2, False)
        assert f"{ids[1]} is in work (b_" in refusal.stderr
        end_batches(api)
        answer = desk.done("distill", *ids[:2], "--batch")
        assert sorted(groups(api)) == sorted([id_] for id_ in ids[:2])
    assert {one["id"] for one in answer["trajectories"]} == set(ids[:2])
    assert answer["remaining"] == 1


def test_a_dry_run_leaves_the_batch_of_another_run_to_that(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.pend(*numbered(3))
    monkeypatch.setattr(backlog.time, "sleep", ctrl_c)
    with desk.asking(apart, polls=UNENDING) as api:
        assert desk.run("distill", *NOW).exit_code == 1
        end_batches(api)
        assert desk.done("distill", *NOW, "--dry-run")["elsewhere"] == 3
        assert desk.done("distill", *NOW)["remaining"] == 0
        assert len(groups(api)) == 3
    desk.check_whole(ids)


def test_a_batch_that_is_gone_leaves_its_trajectories_pending_and_free(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = desk.pend(*numbered(3))
    monkeypatch.setattr(backlog.time, "sleep", ctrl_c)
    with desk.asking(apart, polls=UNENDING) as api:
        assert desk.run("distill", *NOW).exit_code == 1
        (batch,) = api.batches
        del api.batches[batch]
        answer, sentence = desk.failed("distill", *NOW)
        assert f"the batch {batch} is gone; the trajectories stay pending: run it again" == sentence
        assert (len(answer["failures"]), answer["remaining"], answer["elsewhere"]) == (3, 3, 0)
        assert desk.done("distill", "--all")["remaining"] == 0
    desk.check_whole(ids)


@pytest.mark.process
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_before_its_batch_was_taken_claims_nothing_for_a_day(
    desk: Desk, stop: signal.Signals
) -> None:
    ids = desk.pend(*numbered(3))
    with desk.asking(apart) as api:
        api.faults[BATCHES] = Fault(status=500, wait=PATIENCE)
        with desk.started(*NOW) as process:
            until(lambda: api.headers)
            process.send_signal(stop)
            process.communicate()
        del api.faults[BATCHES]
        if stop is signal.SIGKILL:
            desk.later(timedelta(hours=1))
        assert desk.done("distill", "--all")["remaining"] == 0
        assert len(groups(api)) == 3
    desk.check_whole(ids)
