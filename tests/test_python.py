"""The Python face: what is given to it, and what comes back, with and without blocking."""

import asyncio
import inspect
import json
import re
import threading
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.client import connected, text_of
from support.fakes import LESSONS, a_lesson, a_trajectory, add, record
from support.messages_api import Json, decision, lesson
from support.patience import PATIENCE
from support.terminal import done, done_json

from flex_mcp import AsyncLibrary, Choice, Library, Outcome, open_async_library, open_library
from flex_mcp.errors import (
    EmbedderError,
    FlexError,
    InputError,
    LibraryError,
    NotFoundError,
    SettingError,
)
from flex_mcp.models import Curation, DecisionKind, Fields, Prompt, Recorded, Reply, Zone
from flex_mcp.models.briefs import Stop
from flex_mcp.models.vocabulary import Word
from flex_mcp.python.async_library import BLOCKING
from flex_mcp.python.library import PAGE

WORK: Json = {"task": "Ship the release", "outcome": "success"}
LESSON: Json = {
    "zone": "golden",
    "level": "pattern",
    "title": "Pin the compiler",
    "when": "Building an image.",
    "lesson": "Pin the compiler version in the build image.",
}
ID = re.compile(r"\b[et]_\w{12}")
MANY = 250  # works: two full transactions and a part of one


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with open_library(tmp_path / "library.db", embedder="static") as opened:
        yield opened


# What is given


@pytest.mark.parametrize("since", ["2026-01-31", "2026-01-31T00:00:00Z", date(2026, 1, 31)])
def test_a_time_may_be_a_text_a_date_or_a_time(library: Library, since: Any) -> None:
    add(library, a_lesson())
    assert library.count_experiences(since=since) == 1
    assert library.experiences(since="9999-01-01") == []


def test_one_id_gives_the_experience_and_several_a_list(library: Library) -> None:
    first, second = add(library, a_lesson(LESSONS[0]), a_lesson(LESSONS[1]))
    assert library.get(first).id == first
    assert [one.id for one in library.get([second, "e_nobody", first])] == [second, first]
    with pytest.raises(NotFoundError, match="there is no experience e_nobody: a search gives ids"):
        library.get("e_nobody")


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "a search": (
        "search",
        {"query": "x", "zones": ["gold"], "levels": "all", "limit": -1},
        (
            "limit is too small; it must be at least 0; levels cannot be 'all'; it must be a list; "
            "zones[0] cannot be 'gold'; it is one of: golden, warning, mixed"
        ),
    ),
    "a search for nothing": ("search", {"query": None}, "query cannot be None; it must be text"),
    "a list": (
        "experiences",
        {"statuses": ["lost"], "domain": 7},
        (
            "statuses[0] cannot be 'lost'; it is one of: active, quarantined, retired; "
            "domain cannot be 7; it must be text"
        ),
    ),
    "neighbours": (
        "neighbours",
        {"texts": ["x"], "limit": 3, "levels": ["high"]},
        "levels[0] cannot be 'high'; it is one of: principle, pattern, instance",
    ),
    "a trajectory": (
        "record",
        {"trajectory": {"task": "", "outcome": "won", "scor": 1}, "helpful": "e_1"},
        (
            "task is empty: say it in words; outcome cannot be 'won'; it is one of: success, failure, "
            "partial, unknown; there is no argument 'scor' (did you mean 'score'?); it takes task"
        ),
    ),
    "what is no trajectory": (
        "record",
        {"trajectory": 5},
        "the object cannot be 5; it must be an object",
    ),
    "one lesson for several": (
        "record",
        {"trajectory": a_trajectory(), "lessons": a_lesson()},
        "lessons cannot be Lesson(",
    ),
    "one for many": ("record_many", {"trajectories": WORK}, "give a list, or call record"),
    "a lesson": (
        "add",
        {"lesson": a_lesson(zone="gold", level="top", title="")},
        (
            "zone cannot be 'gold'; it is one of: golden, warning, mixed; level cannot be 'top'; "
            "it is one of: principle, pattern, instance; title is empty: say it in words"
        ),
    ),
    "an outcome": (
        "report",
        {"retrieval_id": "r_1", "outcome": "won", "harmful": "e_1"},
        (
            "outcome cannot be 'won'; it is one of: success, failure, partial, unknown; "
            "harmful cannot be 'e_1'; it must be a list"
        ),
    ),
    "a late outcome": (
        "report_trajectory",
        {"trajectory": "t_1", "outcome": "success", "score": 7, "verified_by": "me"},
        "score is too large; it must be at most 1.0; verified_by cannot be 'me'; it is one of: ",
    ),
    "an action": (
        "curate",
        {"experience_id": 5, "action": "explode", "reason": "x"},
        (
            "experience_id cannot be 5; it must be text; "
            "action cannot be 'explode'; it is one of: approve, quarantine"
        ),
    ),
    "a search in a project": ("search", {"query": "x", "project": 5}, "project cannot be 5; it"),
    "a list in an order": (
        "experiences",
        {"sort": "tit", "since": "soon", "text": 5, "projects": "x", "after": 5, "zone": "x"},
        (
            "projects cannot be 'x'; it must be a list; since cannot be 'soon'; it must be a date or "
            "a time such as 2026-01-31; text cannot be 5; it must be text; after cannot be 5; it must "
            "be text; sort cannot be 'tit'; it is one of: newest, updated, title, domain, zone, level, "
            "status, priority, served, successes, failures, helpful, harmful; there is no argument "
            "'zone' (did you mean 'zones'?); it takes levels, zones, domain, projects, statuses, since"
        ),
    ),
    "a time that is a number": (
        "experiences",
        {"since": 5},
        "since cannot be 5; it must be a date",
    ),
    "trajectories": (
        "trajectories",
        {"limit": "x", "state": "done", "outcome": 4},
        (
            "limit cannot be 'x'; it must be a whole number; state cannot be 'done'; it is one of: "
            "pending, distilled, skipped; outcome cannot be 4; it is one of: success, failure"
        ),
    ),
    "a count with a page": ("count_trajectories", {"limit": 3}, "there is no argument 'limit'"),
    "no id": ("get", {"ids": None}, "ids cannot be None; it must be a list"),
    "one id for several": ("whole", {"ids": "e_1"}, "ids cannot be 'e_1'; it must be a list"),
    "what is nearest": (
        "neighbours",
        {"texts": "x", "limit": -1, "projects": "x"},
        (
            "texts cannot be 'x'; it must be a list; limit is too small; it must be at least 0; "
            "projects cannot be 'x'; it must be a list"
        ),
    ),
    "domains": ("domains", {"projects": [5]}, "projects[0] cannot be 5; it must be text"),
    "a domain's name": (
        "rename_domain",
        {"old": 5, "new": None},
        "old cannot be 5; it must be text; new cannot be None; it must be text",
    ),
    "the log": (
        "last_writes",
        {"limit": "x", "about": 5},
        "limit cannot be 'x'; it must be a whole",
    ),
    "one lesson for a list": (
        "apply",
        {"lessons": a_lesson(), "evidence": "t_1"},
        "evidence cannot be 't_1'; it must be a list; lessons cannot be Lesson(",
    ),
    "what is forgotten": (
        "forget",
        {"choice": Choice(ids="t_1", text=5)},  # pyright: ignore[reportArgumentType]
        "ids cannot be 't_1'; it must be a list; text cannot be 5; it must be text",
    ),
    "a model's work": (
        "distill",
        {"trajectory_ids": "t_1", "limit": "x"},
        "trajectory_ids cannot be 't_1'; it must be a list; limit cannot be 'x'; it must be a whole",
    ),
    "no path": (
        "export",
        {"path": None, "projects": "x"},
        "path cannot be None; it must be a path; projects cannot be 'x'; it must be a list",
    ),
    "an export": (
        "export",
        {"path": "x.csv", "form": "csv"},
        "Format cannot be 'csv'; it is one of: jsonl, flex, markdown",
    ),
}


@pytest.mark.parametrize(("verb", "arguments", "sentence"), WRONG.values(), ids=WRONG)
def test_all_that_is_wrong_is_said_at_once_and_nothing_happens(
    library: Library, verb: str, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        getattr(library, verb)(**arguments)
    assert sentence in str(refused.value)
    statistics = library.statistics()
    assert (statistics.experiences, statistics.trajectories, statistics.retrievals) == (0, 0, 0)


@pytest.mark.parametrize("kind", Word.__subclasses__())
def test_a_word_that_is_none_of_its_set_is_our_error(kind: type[Word]) -> None:
    with pytest.raises(FlexError, match=f"{kind.__name__} cannot be 'won'; it is one of: "):
        kind("won")


def test_words_may_come_as_texts(library: Library) -> None:
    (id_,) = add(library, a_lesson(LESSONS[0]))
    asked: Any = {"zones": ["golden"], "levels": {"pattern"}}
    assert library.search(LESSONS[0], **asked).hits[0].experience.id == id_
    assert [one.id for one in library.experiences(zones={Zone.GOLDEN})] == [id_]
    now, _, _ = library.curate(id_, Curation.EDIT, reason="x", fields=Fields(title="Other"))
    assert now.title == "Other"


def test_a_mapping_is_read_as_the_tools_arguments_are(library: Library) -> None:
    asked = library.search("anything")
    raw = {**WORK, "outcome": "Success", "retrieval_ids": asked.retrieval_id, "lessons": LESSON}
    made = library.record({**raw, "key": "run 1"})
    (kept,) = library.trajectories([made.trajectory_id])
    assert (kept.outcome, kept.retrieval_ids) == (Outcome.SUCCESS, (asked.retrieval_id,))
    assert [one.decision for one in made.decisions] == [DecisionKind.ADD]
    assert not library.record(WORK, key="run 1").new


def test_what_is_named_beside_a_mapping_takes_the_place_of_what_it_holds(library: Library) -> None:
    other = a_lesson(LESSONS[1])
    made = library.record({**WORK, "lessons": [LESSON], "key": "a"}, lessons=[other], key="b")
    assert library.get(made.decisions[0].experience_id or "").title == other.title
    assert library.report_trajectory("b", Outcome.FAILURE).trajectory_id == made.trajectory_id


def test_a_lesson_by_hand_is_told_and_known_when_it_comes_again(library: Library) -> None:
    made = library.add(LESSON)
    added = library.get(made.experience_id or "")
    assert (made.decision, added.origin.kind, added.title) == ("add", "told", LESSON["title"])
    again = library.add(LESSON)
    assert (again.decision, again.experience_id) == ("discard", added.id)
    with pytest.raises(NotFoundError, match="there is no trajectory t_nobody"):
        library.add(LESSON, evidence=["t_nobody"])


# Many at once


def works(count: int) -> list[Json]:
    return [{"task": f"Task {n}", "outcome": "success"} for n in range(count)]


def test_many_are_recorded_a_hundred_in_one_transaction(library: Library) -> None:
    heard: list[tuple[int, int]] = []
    made = library.record_many(works(MANY), progress=lambda done, of: heard.append((done, of)))
    assert [one.new for one in made if isinstance(one, Recorded)] == [True] * MANY
    assert heard == [(100, MANY), (200, MANY), (MANY, MANY)]
    assert [one.verb for one in library.last_writes(9)].count("record") == 3
    again = library.record_many(one for one in works(MANY))
    assert [one.new for one in again if isinstance(one, Recorded)] == [False] * MANY
    assert library.statistics().trajectories == MANY


@given(
    st.lists(st.sampled_from(["good", "lesson", "bad lesson", "malformed", "taken"]), max_size=8)
)
def test_many_come_to_what_each_would_come_to_alone(kinds: Sequence[str]) -> None:
    def work(number: int, kind: str) -> Any:
        raw: Json = {"task": f"Task {number} {kind}", "outcome": "success"}
        lessons = {"lesson": [{**LESSON, "lesson": f"Other {number}"}], "bad lesson": [{"zone": 1}]}
        more = {"key": "taken"} if kind == "taken" else {"lessons": lessons.get(kind, [])}
        return {"task": 5} if kind == "malformed" else raw | more

    given = [work(*one) for one in enumerate(kinds)]
    with (
        TemporaryDirectory() as folder,
        open_library(Path(folder) / "many.db", embedder="static") as many,
        open_library(Path(folder) / "single.db", embedder="static") as single,
    ):
        for library in (many, single):
            library.record(WORK, key="taken")
        assert list(map(shape, many.record_many(given))) == [alone(single, one) for one in given]
        assert titles(many) == titles(single)


def alone(library: Library, work: Any) -> object:
    try:
        return shape(library.record(work))
    except InputError as error:
        return shape(error)


def shape(made: Recorded | InputError) -> object:
    """What was made, but for the ids."""
    if isinstance(made, InputError):
        return ID.sub("", str(made))
    decisions = [(one.decision, ID.sub("", one.reason or "")) for one in made.decisions]
    return made.new, made.state, decisions


def titles(library: Library) -> list[str]:
    return sorted(f"{one.title} {one.lesson}" for one in library)


# As a collection


def test_a_library_has_the_length_and_the_items_of_what_it_serves(library: Library) -> None:
    assert (len(library), [*library], bool(library)) == (0, [], True)
    lessons = [a_lesson(f"Rule number {n} of {n + 7} is {n * 3}.") for n in range(PAGE + 5)]
    made = add(library, *lessons)
    library.curate(made[3], Curation.RETIRE, reason="old")
    served = [one for one in made if one != made[3]]
    assert len(library) == len(served)
    assert {one.id for one in library} == {*served}
    assert len([*library]) == len(served)
    assert made[0] in library
    assert made[3] not in library
    assert "e_nobody" not in library


def test_what_is_forgotten_or_retired_in_a_loop_does_not_end_it(library: Library) -> None:
    made = add(library, *(a_lesson(f"Rule {n} of {n + 7} is {n * 3}.") for n in range(PAGE + 5)))
    seen: list[str] = []
    for experience in library:
        if not seen:
            library.curate(made[0], Curation.RETIRE, reason="old")
        seen.append(experience.id)
        if len(seen) == PAGE:
            library.forget(Choice(ids=(experience.id,)))
    assert sorted(seen) == sorted(made[1:])


def test_a_collection_is_of_all_projects_and_a_search_is_not(library: Library) -> None:
    add(library, a_lesson(LESSONS[0]), a_lesson(LESSONS[1], project="shop"))
    assert (len(library), len([*library])) == (2, 2)
    assert len(library.experiences(projects={None})) == 1
    assert library.search(LESSONS[1]).nothing_relevant


def test_what_others_add_between_two_pages_moves_nothing(library: Library) -> None:
    made = add(library, *(a_lesson(f"Rule {n} of {n + 7} is {n * 3}.") for n in range(PAGE + 5)))
    seen: list[str] = []
    for experience in library:
        if not seen:
            add(library, a_lesson(LESSONS[0]))
        seen.append(experience.id)
    assert sorted(seen) == sorted(made)


async def read_by_an_assistant(path: Path, query: str, detail: str) -> str:
    async with connected(path) as client:
        told = {"query": query, "detail": detail}
        result = await client.call_tool("search_experience", told)
    return text_of(result)


@pytest.mark.anyio
@pytest.mark.parametrize("detail", ["concise", "detailed"])
async def test_text_is_what_an_assistant_reads(tmp_path: Path, detail: Any) -> None:
    with open_library(tmp_path / "library.db") as library:
        add(library, *(a_lesson(f"{text} {'So it is. ' * 300}") for text in LESSONS))
        found = library.search(LESSONS[2])
        ours = found.text(detail)
    theirs = await read_by_an_assistant(tmp_path / "library.db", LESSONS[2], detail)
    assert ours.split("), best", 1)[1] == theirs.split("), best", 1)[1]
    assert LESSONS[2] in ours


# In and out


def test_an_export_comes_back_whole(library: Library, tmp_path: Path) -> None:
    add(library, *map(a_lesson, LESSONS))
    written = library.export(tmp_path / "lessons.jsonl")
    with open_library(tmp_path / "other.db", embedder="static") as other:
        assert other.import_file(written).total == len(LESSONS)
        assert titles(other) == titles(library)
    assert "Soak the beans" in library.export(tmp_path / "read.md", "markdown").read_text()
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="no export of flex-mcp"):
        library.export(tmp_path / "mine.txt")


# A model of one's own


CUT = Reply(text="", model="critic", stop=Stop.LENGTH)
CUT_OFF = "its answer's length; the trajectories stay pending: give distill another model"


class Critic:
    """A model that gives these lessons, and adds each."""

    name = "critic"
    window = 40_000

    def __init__(self, *lessons: Json, reply: Any = None) -> None:
        self.lessons, self.reply = lessons, reply
        self.asked: list[Prompt] = []

    def answer(self, prompt: Prompt) -> Any:
        self.asked.append(prompt)
        if self.reply is not None:
            return self.reply
        if "lessons" in prompt.schema["properties"]:
            return json.dumps({"lessons": self.lessons})
        text = prompt.messages[-1].text
        count = sum(f"## Lesson {n} " in text for n in range(len(self.lessons)))
        return json.dumps({"decisions": [decision(n) for n in range(count)]})


def test_a_model_of_ones_own_distils_all_that_is_pending(library: Library) -> None:
    add(library, a_lesson(LESSONS[0]))
    pending = {record(library, f"Build wheel {n}") for n in range(3)}
    heard: list[tuple[int, int]] = []
    model = Critic(lesson("Sign the wheel."))
    report = library.distill(model=model, progress=lambda done, of: heard.append((done, of)))
    assert (report.failures, report.stopped, report.remaining) == ([], None, 0)
    assert heard[-1] == (len(pending), len(pending))
    (made,) = [one for one in library if one.title == "Sign the wheel."]
    assert (made.origin.road, made.origin.model, {*made.evidence}) == ("python", "critic", pending)
    assert library.statistics().spent[0].model == "critic"


def test_a_reply_says_what_it_cost(library: Library) -> None:
    record(library)
    reply = Reply(text='{"lessons": []}', model="local 7b", input_tokens=30, output_tokens=4)
    (made,) = library.distill(model=Critic(reply=reply)).made
    assert (made.model, made.tokens) == ("local 7b", 34)


def test_what_is_no_answer_stays_pending_and_is_told(library: Library) -> None:
    record(library)
    twice = "try again, or give distill another model"
    for reply, sentence in (
        (7, "let it give a text or a Reply"),
        ("no JSON", twice),
        (CUT, CUT_OFF),
    ):
        report = library.distill(model=Critic(reply=reply))
        assert report.failures[0].reason.endswith(sentence)
        assert "FLEX_MCP" not in report.failures[0].reason
        assert library.briefs.remaining() == 1
    with pytest.raises(SettingError, match="give distill a model of your own, or set ANTHROPIC"):
        library.distill()


def test_what_a_model_raises_comes_out_and_nothing_is_claimed(library: Library) -> None:
    class Broken(Critic):
        def answer(self, prompt: Prompt) -> Any:
            self.asked.append(prompt)
            raise ConnectionError("the model is gone")

    id_ = record(library)
    with pytest.raises(ConnectionError, match="the model is gone"):
        library.distill(model=Broken())
    report = library.distill([id_], model=Critic(lesson("Sign the wheel.")))
    assert [one.decision for one in report.made[0].decisions] == ["add"]


def test_a_dry_run_changes_nothing(library: Library) -> None:
    record(library)
    report = library.distill(model=Critic(lesson("Sign the wheel.")), dry_run=True)
    assert [one.title for one in report.made[0].lessons] == ["Sign the wheel."]
    assert (len(library), library.briefs.remaining()) == (0, 1)


# An embedder of one's own


class Letters:
    """Texts by their letters; `made` is what becomes of the vectors."""

    name, version = "letters", "1"

    def embed_query(self, text: str) -> Any:
        return [text.casefold().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]

    def embed_documents(self, texts: list[str]) -> Any:
        return [self.embed_query(text) for text in texts]


class Arrays(Letters):
    def embed_query(self, text: str) -> Any:
        return np.array(super().embed_query(text), np.float64)

    def embed_documents(self, texts: list[str]) -> Any:
        assert len(texts[0].split()) <= 180
        return np.stack([self.embed_query(text) for text in texts])


@pytest.mark.parametrize("kind", [Letters, Arrays])
def test_an_embedder_of_ones_own_serves(tmp_path: Path, kind: type[Letters]) -> None:
    with open_library(tmp_path / "library.db", embedder=kind()) as library:
        made = add(library, *map(a_lesson, LESSONS), a_lesson("A long tale. " * 300))
        found = library.search("naebs eht kaoS", abstain=False)  # no word of it is there
        assert found.hits[0].experience.id == made[5]
        vectors = library.statistics().vectors
    assert vectors is not None
    assert (vectors.embedder, vectors.version, vectors.dimension) == ("python:letters", "1", 26)


def test_its_library_opens_with_it_alone_until_it_is_reindexed(tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        add(library, *map(a_lesson, LESSONS))
    with open_library(tmp_path / "library.db", embedder=Letters()) as library:
        with pytest.raises(
            EmbedderError, match=r"this one is 'python:letters': call `reindex\(\)`"
        ):
            library.search("beans")
        assert library.reindex().embedder == "python:letters"
        assert library.search(LESSONS[5]).hits[0].experience.lesson == LESSONS[5]


def test_without_it_its_library_is_searched_by_words_and_takes_no_lessons(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with open_library(path, embedder=Letters()) as library:
        add(library, *map(a_lesson, LESSONS))
    what = (
        "'letters' is an embedder of Python code, which alone has it: open the library there, or "
        "run `flex-mcp reindex --embedder ours`"
    )
    with open_library(path) as library:
        found = library.search(LESSONS[5])
        assert found.hits[0].experience.lesson == LESSONS[5]
        assert found.notices == (f"search goes by words alone: {what}",)
        with pytest.raises(InputError) as refused:
            library.add(LESSON)
        assert str(refused.value) == what
    told = done_json("search", LESSONS[5], "--library", path)
    assert told["notice"] == f"Search goes by words alone: {what}."
    done("reindex", "--embedder", "ours", "--library", path)
    assert "notice" not in done_json("search", LESSONS[5], "--library", path)


@pytest.mark.parametrize(
    "made", [[[1.0]], [[float("nan")] * 26], [], "vectors", None, [["a"] * 26], [[1.0] * 26] * 2]
)
def test_what_is_no_vector_is_refused_and_nothing_is_kept(tmp_path: Path, made: Any) -> None:
    class Odd(Letters):
        def embed_documents(self, texts: list[str]) -> Any:
            return made if texts else []

    with open_library(tmp_path / "library.db", embedder=Odd()) as library:
        with pytest.raises(EmbedderError, match="'letters' did not give 1 vectors of 26 finite"):
            library.add(LESSON)
        assert len(library) == 0


# Without blocking


def test_every_verb_can_be_awaited() -> None:
    public = {name for name in dir(Library) if not name.startswith("_")}
    assert public - {*dir(AsyncLibrary)} == {*BLOCKING}
    for verb in public - BLOCKING.keys() - {"name", "read_only"}:
        blocking, awaited = getattr(Library, verb), getattr(AsyncLibrary, verb)
        assert inspect.signature(awaited) == inspect.signature(blocking)
        assert inspect.iscoroutinefunction(awaited)
        assert awaited.__doc__ == blocking.__doc__


@pytest.mark.anyio
async def test_the_same_verbs_can_be_awaited(tmp_path: Path) -> None:
    async with open_async_library(tmp_path / "library.db", embedder="static") as library:
        made = await library.add(LESSON)
        recorded = await library.record_many(works(3))
        found = await library.search(LESSON["lesson"])
        assert LESSON["lesson"] in found.text()
        assert [one.id async for one in library] == [made.experience_id]
        assert (await library.count(), len(recorded)) == (1, 3)
        with pytest.raises(NotFoundError):
            await library.get("e_nobody")
    with pytest.raises(LibraryError, match="the library is not open: use it inside"):
        await library.count()


class Slow(Letters):
    """An embedder that waits in the worker's thread until it may go on."""

    def __init__(self) -> None:
        self.entered, self.proceed = threading.Event(), threading.Event()

    def embed_documents(self, texts: list[str]) -> Any:
        self.entered.set()
        assert self.proceed.wait(PATIENCE)
        return super().embed_documents(texts)


async def entered(slow: Slow) -> None:
    assert await anyio.to_thread.run_sync(slow.entered.wait, PATIENCE)


@pytest.mark.anyio
async def test_a_scope_that_is_cancelled_waits_for_the_verb_which_does_all(tmp_path: Path) -> None:
    slow = Slow()
    async with open_async_library(tmp_path / "library.db", embedder=slow) as library:
        async with anyio.create_task_group() as group:
            group.start_soon(library.add, LESSON)
            await entered(slow)
            group.cancel_scope.cancel()
            slow.proceed.set()
        assert await library.count() == 1


@pytest.mark.anyio
async def test_what_is_cancelled_before_it_begins_does_nothing(tmp_path: Path) -> None:
    async with open_async_library(tmp_path / "library.db", embedder="static") as library:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await library.record(WORK)
        assert scope.cancelled_caught
        assert (await library.statistics()).trajectories == 0


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_leaves_a_library_that_works(tmp_path: Path) -> None:
    slow = Slow()
    async with open_async_library(tmp_path / "library.db", embedder=slow) as library:
        task = asyncio.create_task(library.add(LESSON))
        await entered(slow)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await library.record(WORK)
        slow.proceed.set()
        again = await library.add(LESSON)  # whichever of the two came first
        assert again.decision in {DecisionKind.ADD, DecisionKind.DISCARD}
    with open_library(tmp_path / "library.db", embedder=Letters()) as opened:
        assert (len(opened), opened.statistics().trajectories) == (1, 1)


@pytest.mark.anyio
async def test_the_file_is_let_go_also_by_a_task_that_is_cancelled(tmp_path: Path) -> None:
    held: list[AsyncLibrary] = []

    async def use() -> None:
        async with open_async_library(tmp_path / "library.db", embedder="static") as library:
            await library.add(LESSON)
            held.append(library)
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    while not held:
        await anyio.lowlevel.checkpoint()
    inner = held[0].library
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(LibraryError):
        inner.statistics()


@pytest.mark.anyio
async def test_a_library_that_opens_for_nobody_is_closed(tmp_path: Path) -> None:
    begun, proceed = threading.Event(), threading.Event()
    opened: list[Library] = []

    def opening() -> Library:
        begun.set()
        assert proceed.wait(PATIENCE)
        opened.append(open_library(tmp_path / "library.db"))
        return opened[0]

    async def use() -> None:
        async with AsyncLibrary(opening):
            pytest.fail("it was cancelled before")

    task = asyncio.create_task(use())
    await anyio.to_thread.run_sync(begun.wait, PATIENCE)
    task.cancel()
    await anyio.lowlevel.checkpoint()
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(LibraryError):
        opened[0].statistics()


@pytest.mark.anyio
async def test_a_file_that_cannot_be_opened_is_the_errors_own(tmp_path: Path) -> None:
    (tmp_path / "library.db").write_text("This is a letter, and no library. " * 40)
    with pytest.raises(LibraryError, match=r"library\.db"):
        async with open_async_library(tmp_path / "library.db"):
            pytest.fail("it is no library")
