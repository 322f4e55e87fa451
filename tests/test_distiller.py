"""A model of one's own through the tool `distill`: what it makes, and what every failure leaves."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import messages_api as service
from support.client import answer, connected, text_of
from support.client import refusal as refused
from support.fakes import LESSONS, Clock, FakeEmbedder, a_lesson, add, fake_library, one, record
from support.messages_api import (
    Api,
    Json,
    Reaction,
    Script,
    adds,
    critic_and_updater,
    decision,
    lesson,
)
from support.patience import PATIENCE

from flex_mcp import open_library
from flex_mcp.errors import ModelServiceError
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.llm import AnthropicLLM
from flex_mcp.learning.prompts import Prompts
from flex_mcp.library.conversations import ConversationLog
from flex_mcp.library.library import Library
from flex_mcp.models import Curation, Experience, Fields, Road
from flex_mcp.models.briefs import Reply, Turn

pytestmark = pytest.mark.anyio

MODEL = "claude-sonnet-5-5"
TAUGHT = "Compare dates in UTC."
MERGE: Json = {"title": "Both", "when": "At night", "lesson": "Both in one."}
Asking = Callable[[Script], Api]


def teaches(_: str) -> list[Json]:
    return [lesson(TAUGHT)]


TEACHES = json.dumps({"lessons": teaches("")})


def first(*reactions: Reaction) -> Script:
    """These, and then what a good model says."""
    left, good = list(reactions), critic_and_updater(teaches)
    return lambda request: left.pop(0) if left else good(request)


def into(question: str) -> str:
    """The first experience that an updater's question shows."""
    return re.findall(r"^### (e_\w+): ", question, re.MULTILINE)[0]


def spent(library: Library) -> list[int | None]:
    """How often was asked, and the tokens read and written."""
    found = library.statistics().spent
    return [n for one in found for n in (one.questions, one.input_tokens, one.output_tokens)]


def counted(api: Api) -> list[int | None]:
    """The same, as the service counts it."""
    written = sum(one["output_tokens"] for one in api.usage)
    read = sum(sum(one.values()) for one in api.usage) - written
    return [len(api.usage), read, written] if api.usage else []


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """Makes the machine's own model one that answers by a script."""
    with ExitStack() as stack:

        def ask(script: Script) -> Api:
            api = stack.enter_context(service.messages_api(script, key="the key"))
            monkeypatch.setenv("ANTHROPIC_API_KEY", "the key")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
            monkeypatch.setenv("FLEX_MCP_MODEL", MODEL)
            return api

        yield ask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A library with one experience of five examples, and one pending trajectory."""
    path = tmp_path / "library.db"
    with open_library(path) as library:
        add(library, a_lesson(LESSONS[0], examples=tuple("abcde")))
        record(library, "Build the wheel")
    return path


def known(path: Path) -> list[Experience]:
    with open_library(path) as library:
        return library.experiences()


def check_untouched(path: Path, before: Sequence[Experience], api: Api | None) -> None:
    """The trajectory is pending and free, the library as it was, and what was asked is counted."""
    with open_library(path) as library:
        assert library.experiences() == before
        assert library.statistics().revisions == sum(one.revision for one in before)
        assert library.statistics().by_state == {"pending": 1}
        assert library.briefs.remaining() == 1
        assert spent(library) == (counted(api) if api else [])


async def check_goes_on(client: Any) -> None:
    """Distil works again, at once."""
    made = await answer(client, "distill")
    assert [one["decision"] for one in made["decisions"]] == ["add"]


# What goes well


async def test_an_answer_says_what_became_of_the_lessons_who_made_them_and_what_it_cost(
    path: Path, asking: Asking
) -> None:
    api = asking(critic_and_updater(teaches))
    async with connected(path) as client:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        result = await client.call_tool("distill", {})
        nothing = await client.call_tool("distill", {})
    made = result.structured_content
    for content in (made, nothing.structured_content):
        jsonschema.validate(content, schemas["distill"] or {})
    (shown,), (taught,), (decided,) = (made[k] for k in ("trajectories", "lessons", "decisions"))
    cost = sum(sum(one.values()) for one in api.usage)
    assert (made["road"], made["model"], made["tokens"]) == ("anthropic", MODEL, cost)
    assert made["prompts"] == "critic 2, critic_success 1, updater 1"
    assert (taught["title"], decided["decision"]) == (TAUGHT, "add")
    about = f"Road: anthropic, model {MODEL}, prompts {made['prompts']}, {cost:,} tokens."
    assert text_of(result).startswith(about)
    assert "No trajectory waits" in text_of(nothing)
    with open_library(path) as library:
        assert spent(library) == counted(api)
        (revision,) = library.history(decided["experience_id"])
        made_it = one(library, revision.experience_id)
    assert (made_it.evidence, revision.origin) == ((shown["id"],), made_it.origin)
    told = {name: made[name] for name in ("road", "model", "prompts", "tokens")}
    assert asdict(made_it.origin).items() >= told.items()


async def test_those_named_are_one_group_and_the_others_wait(path: Path, asking: Asking) -> None:
    named: list[str] = []
    api = asking(critic_and_updater(lambda _: [lesson(TAUGHT, trajectory_ids=named[1:2])]))
    async with connected(path) as client:
        for number in range(3):
            tried = {"task": "Build the wheel", "outcome": "failure", "answer": f"try {number}"}
            recorded = await answer(client, "record_trajectory", **tried)
            named.append(recorded["trajectory_id"])
        made = await answer(client, "distill", trajectory_ids=named[:2])
    assert ([one["id"] for one in made["trajectories"]], made["remaining"]) == (named[:2], 2)
    assert len(api.requests) == 2, "one of the critic and one of the updater"
    with open_library(path) as library:
        assert one(library, made["decisions"][0]["experience_id"]).evidence == (named[1],)


# What goes wrong

TALK = "I would rather talk."
OTHERWISE = "or set FLEX_MCP_DISTILLER=assistant to have your assistant write the lessons"
ANOTHER = f"set FLEX_MCP_MODEL to another model, {OTHERWISE}"
TWICE = f"{MODEL} answered twice what cannot be used (it is no JSON)"
CUT = f"{MODEL} was cut off at the limit of its answer's length"
SLOWER = "wait, and work on fewer at once"
NO_ENTRY, BUSY, ILL = (
    service.status(401),
    service.status(429, retry_after=0),
    service.status(529, retry_after=0),
)
FAILURES: dict[str, tuple[list[Reaction], str, str]] = {
    "malformed twice": ([TALK, TALK], TWICE, f"try again, {ANOTHER}"),
    "refusal": ([service.refusal()], f"{MODEL} refused to answer", ANOTHER),
    "truncation": ([service.truncated('{"lessons": [')], CUT, ANOTHER),
    "401": ([NO_ENTRY], "URL refused the key (401)", f"correct ANTHROPIC_API_KEY, {OTHERWISE}"),
    "429": ([BUSY] * 3, "URL takes no more questions for now (429)", SLOWER),
    "529": ([ILL] * 3, "URL is overloaded or has a fault (529)", f"try again later, {OTHERWISE}"),
}


@pytest.mark.parametrize(
    ("failure", "asked"),
    [*((name, "critic") for name in FAILURES), *((name, "updater") for name in ("refusal", "529"))],
)
async def test_a_failure_says_what_to_do_and_leaves_everything_as_it_was(
    path: Path, asking: Asking, failure: str, asked: str
) -> None:
    reactions, why, then = FAILURES[failure]
    good = [] if asked == "critic" else [TEACHES]
    before, api = known(path), asking(first(*good, *reactions))
    async with connected(path) as client:
        said = (await refused(client, "distill")).replace(api.url, "URL")
        assert said == f"{why}; the trajectories stay pending: {then}"
        assert len(api.requests) == len(good) + len(reactions)
        check_untouched(path, before, api)
        await check_goes_on(client)
    with open_library(path) as library:
        assert spent(library) == counted(api)


async def test_a_service_that_cannot_be_reached_leaves_everything_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = known(path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the key")
    with service.nobody_listens() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        async with connected(path) as client:
            said = await refused(client, "distill")
    what = f"check the network and ANTHROPIC_BASE_URL, {OTHERWISE}"
    assert said == f"{url} cannot be reached; the trajectories stay pending: {what}"
    check_untouched(path, before, None)


def test_a_service_that_does_not_answer_in_time_leaves_everything_as_it_was(path: Path) -> None:
    before = known(path)
    with service.messages_api(lambda _: service.slow(60)) as api, open_library(path) as library:
        llm = AnthropicLLM("a key", model=MODEL, base_url=api.url, timeout=0.3, retries=1)
        with pytest.raises(ModelServiceError) as failed:
            Distiller(library, Prompts(), llm=llm).distill()
    why = f"{MODEL} at {api.url} did not answer within 0.3 seconds, 2 times; the trajectories stay"
    assert str(failed.value) == f"{why} pending: try again later, {OTHERWISE}"
    check_untouched(path, before, None)


NO_KEY = "FLEX_MCP_DISTILLER=anthropic needs ANTHROPIC_API_KEY: set it (a server at ANTHROPIC_BASE_URL that asks for none takes any text), or unset FLEX_MCP_DISTILLER"
NOBODY = "FLEX_MCP_DISTILLER cannot be 'openai'; it is one of: auto, anthropic, sampling, assistant"


@pytest.mark.parametrize(("name", "sentence"), [("anthropic", NO_KEY), ("openai", NOBODY)])
async def test_a_distiller_that_cannot_be_is_refused_in_a_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    async with connected(path) as client:
        monkeypatch.setenv("FLEX_MCP_DISTILLER", name)
        assert await refused(client, "distill") == sentence
        monkeypatch.setenv("FLEX_MCP_DISTILLER", "assistant")
        assert (await answer(client, "distill"))["road"] == "assistant"


# Answers that are asked for again


@pytest.mark.parametrize(
    ("reactions", "reason"),
    [
        pytest.param([TALK], "it is no JSON", id="critic"),
        pytest.param([TEACHES, "{}"], "decisions is missing: give it too", id="updater"),
        pytest.param([" \n"], "it is no JSON", id="blank"),
        pytest.param(["\ud800"], "it is no JSON", id="half a surrogate pair"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_asked_for_again_with_the_reason(
    path: Path, asking: Asking, reactions: list[str], reason: str
) -> None:
    api = asking(first(*reactions))
    async with connected(path) as client:
        await check_goes_on(client)
    question, given, problem = api.requests[len(reactions)]["messages"]
    assert [question] == api.requests[len(reactions) - 1]["messages"]
    assert given["content"] in {reactions[-1], "(nothing)", "?"}
    assert problem["content"].startswith(f"That answer cannot be used: {reason}\n")
    with open_library(path) as library:
        assert spent(library) == counted(api)


LONG = "lesson 0: the merged lesson has 4,001 characters; the limit of a merge is 4,000: condense"
MANY = "lesson 0: together they have 9 examples; the limit of a merge is 8: send those of both that"


@pytest.mark.parametrize(
    ("large", "reason", "condensed"),
    [
        ({"lesson": "x" * 4_001}, LONG, {"lesson": "x" * 4_000}),
        ({"examples": list("fghi")}, MANY, {"examples": list("afghi")}),
    ],
    ids=["4,001 characters", "9 examples"],
)
async def test_a_merge_that_grows_too_large_is_to_be_condensed_and_else_refused(
    path: Path, asking: Asking, large: Json, reason: str, condensed: Json
) -> None:
    merges = [large, large, large, condensed]

    def updater(question: str) -> list[Json]:
        return [decision(0, "merge", into=into(question), **MERGE | merges.pop(0))]

    api, before = asking(critic_and_updater(teaches, updater)), known(path)
    async with connected(path) as client:
        assert f"answered twice what cannot be used ({reason}" in await refused(client, "distill")
        check_untouched(path, before, api)
        made = await answer(client, "distill")
    assert f"cannot be used: {reason}" in service.question_of(api.requests[-1])
    assert [one["decision"] for one in made["decisions"]] == ["merge"]
    (merged,) = known(path)
    assert condensed in ({"lesson": merged.lesson}, {"examples": list(merged.examples)})


ACTIONS: dict[str, Json] = {
    "merge": {"action": "merge", **MERGE},
    "discard": {"action": "discard"},
    "supersede": {"action": "supersede", "reason": "it is wrong"},
    "narrow": {"other_when": "Only on a laptop"},
}


@pytest.mark.parametrize(
    ("action", "change", "times", "says"),
    [
        *((action, Curation.EDIT, 1, "\n> Corrected 0\n") for action in ACTIONS),
        ("merge", Curation.EDIT, 9, "was changed since it was shown: add"),
        ("supersede", Curation.RETIRE, 1, "is retired: restore it first, or add anew"),
        ("narrow", Curation.RETIRE, 1, "is retired: leave it as it is"),
    ],
)
async def test_what_was_changed_since_it_was_shown_is_looked_at_again(
    path: Path, asking: Asking, action: str, change: Curation, times: int, says: str
) -> None:
    left = list(range(times))

    def updater(question: str) -> list[Json]:
        if not left or "cannot be used" in question:
            return adds(question)
        fields = Fields(lesson=f"Corrected {left.pop()}") if change is Curation.EDIT else None
        with open_library(path) as other:
            other.curate(into(question), change, reason="it was wrong", fields=fields)
        return [decision(0, into=into(question), **ACTIONS[action])]

    (shown,), api = known(path), asking(critic_and_updater(teaches, updater))
    async with connected(path) as client:
        await check_goes_on(client)
    assert says in service.question_of(api.requests[-1])
    with open_library(path) as library:
        assert {one.reason for one in library.history(shown.id)} == {None, "it was wrong"}
        now = one(library, shown.id)
    assert (now.title, now.when, now.evidence) == (shown.title, shown.when, ())


# Claims


class Thinking:
    """A model that does something before it answers, and has nothing to teach."""

    road = Road.ANTHROPIC
    window = 40_000
    claim = timedelta(seconds=0.03)  # in which it is to show a sign of life

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile

    def ask(self, turn: Turn) -> Reply:  # noqa: ARG002  whatever the question is
        self._meanwhile()
        return Reply(text='{"lessons": []}', model="thinking")


def test_a_claim_is_renewed_while_the_model_works_and_others_skip_what_it_claims(
    quick: Library, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, signs = ConversationLog.claim, threading.Semaphore(0)

    def claimed(turns: ConversationLog, brief_id: str, lasting: timedelta) -> None:
        claim(turns, brief_id, lasting)
        signs.release()

    def others_skip_it() -> None:
        for _ in range(5):
            while signs.acquire(blocking=False):
                pass
            clock.advance(seconds=0.02)  # twice is longer than the claim
            assert signs.acquire(timeout=PATIENCE)
            assert signs.acquire(timeout=PATIENCE), "this one began after the clock had moved"
            assert Distiller(other, Prompts()).distill().brief_id is None

    monkeypatch.setattr(ConversationLog, "claim", claimed)
    record(quick)
    with fake_library(tmp_path, FakeEmbedder(), clock=clock) as other:
        Distiller(quick, Prompts(), llm=Thinking(others_skip_it)).distill()
    assert quick.statistics().by_state == {"skipped": 1}, "there was nothing to learn"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_ends_the_work_frees_what_it_claims_at_once(
    quick: Library, error: type[BaseException]
) -> None:
    def fail() -> None:
        assert quick.briefs.remaining() == 0
        raise error("in the middle")

    record(quick)
    with pytest.raises(error, match="in the middle"):
        Distiller(quick, Prompts(), llm=Thinking(fail)).distill()
    assert quick.briefs.remaining() == 1
    assert not [one for one in threading.enumerate() if one.name.startswith("claim ")]
    assert Distiller(quick, Prompts(), llm=Thinking(int)).distill().brief_id is not None
