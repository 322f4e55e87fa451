"""The client's own model, lent by sampling, through the SDK's client in both protocol eras."""

import json
import sys
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import anyio
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client import ClientRequestContext
from mcp.shared.exceptions import MCPError
from support.client import answer, content_of, text_of
from support.fakes import LESSONS, Clock, FakeEmbedder, a_lesson, a_trajectory, fake_library, one
from support.messages_api import Json, decision, lesson, messages_api, status

from flex_mcp.app import App
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Outcome, Road, Status
from flex_mcp.server.server import build_server

pytestmark = pytest.mark.anyio

Era = Literal["auto", "legacy"]
Reply = types.CreateMessageResult
Asked = types.CreateMessageRequestParams
Result = types.CallToolResult | types.InputRequiredResult
NAME = "a-model-of-the-client"


def said(text: str, stop: str = "endTurn") -> Reply:
    content = types.TextContent(type="text", text=text)
    return Reply(role="assistant", content=content, model=NAME, stop_reason=stop)


def lessons(*texts: str, **values: str) -> Reply:
    return said(json.dumps({"lessons": [lesson(text, **values) for text in texts]}))


def decisions(*made: Json) -> Reply:
    return said(json.dumps({"decisions": made}))


GOOD, BAD, ADDED = lessons("Mine."), said("I would rather talk."), decisions(decision())
PICTURE = types.ImageContent(type="image", data="aGk=", mime_type="image/png")
IMAGE = Reply(role="assistant", content=PICTURE, model=NAME)
DECLINES = types.ErrorData(code=-1, message="the person said no")


class Model:
    """The client's model: replies in turn, and is to be asked no more often."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[Asked] = []

    async def __call__(self, context: ClientRequestContext, params: Asked) -> Any:  # noqa: ARG002
        self.asked.append(params)
        return self.replies.pop(0)


class Process(App):
    """One on the fake library of a folder, for clients of one era."""

    era: Era = "auto"

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(library=str(folder / "library.db"))
        self._library = fake_library(folder, FakeEmbedder(), clock=clock)

    def client(self, model: Model | None = None) -> Client:
        return Client(build_server(self), mode=self.era, sampling_callback=model)

    async def distilled(self, model: Model | None) -> Json:
        async with self.client(model) as client:
            return await answer(client, "distill")


@pytest.fixture
def newer(tmp_path: Path, clock: Clock) -> Generator[Process]:
    with closing(Process(tmp_path, clock)) as process:
        yield process


@pytest.fixture(params=["auto", "legacy"])
def both(newer: Process, request: pytest.FixtureRequest) -> Process:
    newer.era = request.param
    return newer


def record(library: Library, task: str = "Build the wheel", **values: object) -> str:
    return library.record(a_trajectory(task, **values)).trajectory_id


def texts(library: Library) -> list[str]:
    return sorted(each.lesson for each in library.experiences())


def conversation(asked: Asked) -> list[tuple[str, str]]:
    parts = [(message.role, message.content) for message in asked.messages]
    return [(role, part.text) for role, part in parts if isinstance(part, types.TextContent)]


def all_of(made: Json, name: str) -> list[Any]:
    return [each.get(name) for each in made["decisions"]]


def about(made: Json, road: str = "assistant") -> list[str]:
    assert (made["road"], bool(made.get("instructions"))) == (road, road == "assistant")
    return [each["id"] for each in made["trajectories"]]


async def test_the_clients_model_is_asked_and_every_trace_says_so(both: Process) -> None:
    ids = [record(both.library, "Build\n# Obey", outcome=each) for each in list(Outcome)[:2]]
    async with both.client(model := Model(lessons(*LESSONS[:2]))) as client:
        result = await client.call_tool("distill", {})
        made = content_of(result)
        id_ = made["decisions"][0]["experience_id"]
        (shown,) = (await answer(client, "get_experience", ids=[id_]))["experiences"]
    assert all_of(made, "decision") == ["add", "add"]
    assert [each["title"] for each in made["lessons"]] == LESSONS[:2]
    assert about(made, "sampling") == shown["evidence"] == ids
    for told in (made, shown["origin"]):
        assert (told["road"], told["model"], told.get("tokens")) == ("sampling", NAME, None)
        assert told["prompts"] == "critic 2, critic_contrast 1, updater 1"
    assert (made["remaining"], made.get("notice")) == (0, None)
    assert text_of(result).startswith(f"Road: sampling, model {NAME}, prompts critic 2, ")
    (asked,) = model.asked  # nothing was near, so the updater had no question
    given = asked.model_dump(exclude_none=True)
    assert given.keys() - {"meta"} == {"messages", "system_prompt", "max_tokens"}
    assert given["max_tokens"] == 8_000
    assert json.loads(given["system_prompt"].splitlines()[-1])["properties"].keys() == {"lessons"}
    ((role, text),) = conversation(asked)
    assert (role, text.count("> Task: Build\n> # Obey")) == ("user", 2)


async def test_the_updater_is_asked_where_something_is_near(both: Process) -> None:
    library, model = both.library, Model(lessons(*LESSONS[:4]))
    first = record(library)
    ids = merged, same, old, other = all_of(await both.distilled(model), "experience_id")
    second = record(library, "Build another")
    verdicts = decisions(
        decision(0, "merge", into=merged, title="Both", when="always", lesson="All."),
        decision(1, "discard", into=same, reason="it says that already"),
        decision(2, "supersede", into=old, reason="the service has changed"),
        decision(3, "add", into=other, when="by day", other_when="by night"),
    )
    model.replies += [lessons(*(f"{text} And more." for text in LESSONS[:4])), verdicts]
    made = await both.distilled(model)
    assert all_of(made, "decision") == ["merge", "discard", "supersede", "add"]
    assert all_of(made, "reason")[1:3] == ["it says that already", "the service has changed"]
    now = all_of(made, "experience_id")
    assert now[:2] == [merged, same]
    assert (one(library, merged).lesson, one(library, same).lesson) == ("All.", LESSONS[1])
    assert one(library, merged).evidence == one(library, same).evidence == (first, second)
    assert (one(library, old).status, one(library, old).superseded_by) == (Status.RETIRED, now[2])
    assert (one(library, other).when, one(library, now[3]).when) == ("by night", "by day")
    last = [library.history(id_)[-1] for id_ in ids]
    assert [str(each.kind) for each in last] == ["merge", "merge", "supersede", "edit"]
    assert {each.origin and each.origin.model for each in last} == {NAME}
    ((_, question),) = conversation(model.asked[2])
    for number, id_ in enumerate(ids):
        assert f"## Lesson {number} (golden pattern): {LESSONS[number]} And more.\n" in question
        assert f"### {id_}: {LESSONS[number]}\n> {LESSONS[number]}\n" in question
    (spent,) = library.statistics().spent
    assert (spent.road, spent.model, spent.questions) == (Road.SAMPLING, NAME, 3)
    assert (spent.input_tokens, spent.output_tokens) == (None, None)


KEY = ["auto key lends anthropic", "sampling key lends sampling", "assistant key lends assistant"]
NO_KEY = ["auto - lends sampling", "auto - - assistant", "sampling - - assistant"]


@pytest.mark.parametrize("case", [*KEY, *NO_KEY])
async def test_the_road_follows_the_setting_the_key_and_the_client(
    both: Process, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(both.library)
    setting, key, lends, road = case.split()
    with messages_api(lambda _: status(401)) as api:
        monkeypatch.setenv("FLEX_MCP_DISTILLER", setting)
        monkeypatch.setenv("ANTHROPIC_API_KEY", key.strip("-"))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        model = Model(GOOD)
        async with both.client(model if lends == "lends" else None) as client:
            result = await client.call_tool("distill", {})
    refused = f"{api.url} refused the key (401); the trajectories stay pending: "
    assert (refused if road == "anthropic" else f"Road: {road}") in text_of(result)
    assert [len(api.requests), len(model.asked)] == [road == "anthropic", road == "sampling"]


EMPTY = json.dumps({"lessons": [lesson("")]})
MALFORMED = {"": "it is no JSON", "[]": "it is no JSON object", EMPTY: "lesson 0: title is empty"}


@pytest.mark.parametrize("bad", MALFORMED)
async def test_a_malformed_answer_is_asked_for_again(both: Process, bad: str) -> None:
    record(both.library)
    fenced = said(f"```json\n{json.dumps({'lessons': [lesson()]})}\n```\n")
    made = await both.distilled(model := Model(said(bad), fenced))
    assert all_of(made, "decision") == ["add"]
    *before, (role, again) = conversation(model.asked[1])
    assert before == [*conversation(model.asked[0]), ("assistant", bad or "(nothing)")]
    assert role == "user"
    assert f"That answer cannot be used: {MALFORMED[bad]}" in again
    assert model.asked[1].system_prompt == model.asked[0].system_prompt


UNUSABLE = {
    "answered twice what cannot be used (it is no JSON object)": [BAD, said("[]")],
    "was cut off at the limit": [said('{"lessons": []}', "maxTokens")],
    "refused to answer": [said("No.", "refusal")],
}


@pytest.mark.parametrize("why", UNUSABLE)
async def test_an_unusable_answer_is_an_error_and_all_begins_anew(both: Process, why: str) -> None:
    record(both.library)
    async with both.client(model := Model(*UNUSABLE[why], GOOD)) as client:
        result = await client.call_tool("distill", {})
        assert result.is_error
        assert text_of(result).startswith(f"{NAME} {why}")
        assert "; the trajectories stay pending: " in text_of(result)
        assert "choose another in your client" in text_of(result)
        assert (both.library.statistics().revisions, both.library.briefs.remaining()) == (0, 1)
        assert all_of(await answer(client, "distill"), "decision") == ["add"]
    assert [each.questions for each in both.library.statistics().spent] == [len(model.asked)]


NEWER = [("auto", [IMAGE]), ("auto", [GOOD, IMAGE])]
OLDER = [("legacy", [IMAGE]), ("legacy", [GOOD, DECLINES])]


@pytest.mark.parametrize(("both", "replies"), [*NEWER, *OLDER], indirect=["both"])
async def test_a_reply_that_is_none_ends_as_a_brief(both: Process, replies: list[Any]) -> None:
    both.library.apply([a_lesson("Known.")])
    trajectory = record(both.library)
    async with both.client(Model(*replies)) as client:
        made = await answer(client, "distill")
        why = " (the person said no)" if DECLINES in replies else ", or replied without text"
        assert made["notice"] == f"your client did not lend its model{why}, so here is a brief"
        assert about(made) == [trajectory]
        assert both.library.briefs.in_work(Road.SAMPLING) == (0, None)
        assert texts(both.library) == ["Known."]
        theirs = {"brief_id": made["brief_id"], "lessons": [lesson("Theirs.")]}
        assert all_of(await answer(client, "save_lessons", **theirs), "decision") == ["add"]


async def test_an_answer_in_several_parts_is_taken(both: Process) -> None:
    record(both.library)
    content = [PICTURE, *types.SamplingMessage(role="user", content=GOOD.content).content_as_list]
    parts = types.CreateMessageResultWithTools(role="assistant", content=content, model=NAME)
    assert (await both.distilled(Model(parts)))["road"] == "sampling"


async def test_who_declines_in_the_newer_era_just_leaves(newer: Process, clock: Clock) -> None:
    record(newer.library)
    async with newer.client(Model(DECLINES, GOOD)) as client:
        with pytest.raises(MCPError, match="the person said no"):
            await client.call_tool("distill", {})
        # The server is not told: the claim ends by itself.
        assert newer.library.briefs.in_work(Road.SAMPLING) == (
            1,
            clock.time + timedelta(minutes=10),
        )
        assert "brief_id" not in await answer(client, "distill")
        clock.advance(minutes=10)
        assert (await answer(client, "distill"))["road"] == "sampling"


async def called(client: Client, key: str = "", reply: Any = None, **arguments: Any) -> Result:
    """One round of the newer era, by hand."""
    replies = {key: reply} if reply else None
    return await client.session.call_tool(
        "distill", arguments, input_responses=replies, allow_input_required=True
    )


async def asked(client: Client, key: str = "", reply: Any = None, **more: Any) -> tuple[str, Asked]:
    """The key and the question that a round comes to."""
    result = await called(client, key, reply, **more)
    assert isinstance(result, types.InputRequiredResult), text_of(result)
    assert result.request_state is None
    ((key, request),) = (result.input_requests or {}).items()
    assert isinstance(request, types.CreateMessageRequest)
    return key, request.params


async def test_a_question_is_rendered_once_whatever_happens_meanwhile(
    newer: Process, tmp_path: Path, clock: Clock
) -> None:
    known = newer.library.apply([a_lesson()])[0].experience_id
    record(newer.library)
    async with newer.client(Model()) as client:
        first = key, _ = await asked(client)
        record(newer.library, answer="of the same task")
        assert await asked(client, f"{key[:-2]}-4", GOOD) == first, "it is not answered yet"
        second = then, _ = await asked(client, key, BAD)
        assert await asked(client, key, GOOD) == second, "the first reply stays"
    newer.close()
    library = (after := Process(tmp_path, clock)).library
    async with after.client(Model()) as client:
        assert await asked(client, key, GOOD) == second, "also to a new process"
        third = last, question = await asked(client, then, GOOD)
        assert f"### {known}: " in conversation(question)[0][1]
        library.apply([a_lesson("It knows more.", action=Action.MERGE, into=known), a_lesson("B")])
        assert await asked(client, then, lessons("B")) == third
        merge = decision(0, "merge", into=known, title="T", when="", lesson="Both.")
        end, again = await asked(client, last, decisions(merge))
        assert "> It knows more." in conversation(again)[0][1], "it looks again"
        assert all_of(content_of(await called(client, end, ADDED)), "decision") == ["add"]
    assert texts(library) == ["B", "It knows more.", "Mine."]
    after.close()


async def test_a_round_that_is_sent_again_or_at_once_is_applied_once(newer: Process) -> None:
    newer.library.apply([a_lesson()])
    record(newer.library)
    async with newer.client(Model()) as client:
        key, _ = await asked(client)
        then, question = await asked(client, key, GOOD)
        assert await asked(client, key, GOOD) == (then, question)
        made: list[Json] = []

        async def send() -> None:
            made.append(content_of(await called(client, then, ADDED)))

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(send)
        assert [all_of(each, "decision") for each in made] == [["add"]] * 4
        before = newer.library.statistics()
        for sent, reply in ((then, ADDED), (then, GOOD), (key, lessons("Other."))):
            again = content_of(await called(client, sent, reply))
            assert (again["road"], all_of(again, "decision")) == ("sampling", ["add"])
    assert newer.library.statistics() == before
    assert before.revisions == before.experiences == 2


@pytest.mark.parametrize("named", [True, False])
async def test_one_call_works_on_one_group_of_one_task(newer: Process, named: object) -> None:
    ids = [record(newer.library, task, answer=f"{n}") for n, task in enumerate("aba")]
    arguments: Json = {"trajectory_ids": ids} if named else {}
    async with newer.client(Model()) as client:
        key, question = await asked(client, **arguments)
        then, _ = await asked(client, **arguments)
        assert key[:-2] != then[:-2], "a new call takes what is left"
        made = [content_of(await called(client, each, lessons())) for each in (key, then)]
    assert [about(each, "sampling") for each in made] == [[ids[0], ids[2]], ids[1:2]]
    assert ids[1] not in conversation(question)[0][1]


HOW = ["a round", "record_trajectory", "save_lessons", "no sample", "unknown", "garbage"]


@pytest.mark.parametrize("how", HOW)
async def test_a_reply_that_is_late_or_fits_no_question_ends_as_a_brief(
    newer: Process, clock: Clock, how: str
) -> None:
    ids = [record(newer.library, task) for task in "ab"]
    theirs: Json = {"lessons": [lesson("T")]}
    no_sample = types.ElicitResult(action="accept", content={})
    async with newer.client(Model()) as client:
        key, _ = await asked(client)
        if how == "a round":
            clock.advance(minutes=10)
            then, _ = await asked(client)
            content_of(await called(client, then, said(json.dumps(theirs))))
        elif how == "record_trajectory":
            await answer(client, how, task="a", outcome="success", **theirs)
        elif how == "save_lessons":
            clock.advance(minutes=10)
            async with newer.client() as other:
                taken = await answer(other, "distill", trajectory_ids=ids[:1])
                await answer(other, how, brief_id=taken["brief_id"], **theirs)
        key = {"unknown": "b_aaaaaaaaaaaa-1", "garbage": "../b 🦜"}.get(how, key)
        reply = no_sample if how == "no sample" else GOOD
        made = content_of(await called(client, key, reply, trajectory_ids=ids))
        late = content_of(await called(client, key, GOOD, trajectory_ids=ids))
    assert about(made) == (ids if how == "no sample" else ids[1:])
    assert (late.get("brief_id"), late["road"]) == (None, "assistant")
    assert None not in (made.get("notice"), late.get("notice"))
    assert set(texts(newer.library)) <= {"T"}


@pytest.mark.process
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_real_process_samples_and_warns_of_nothing(tmp_path: Path, era: Era) -> None:
    arguments = [
        "-W",
        "error",
        "-P",
        "-m",
        "flex_mcp",
        "serve",
        "--library",
        str(tmp_path / "l.db"),
    ]
    model = Model(lessons(*LESSONS[:2]))
    with (tmp_path / "stderr.txt").open("w+", encoding="utf-8") as errors:
        server = stdio_client(StdioServerParameters(command=sys.executable, args=arguments), errors)
        async with Client(server, mode=era, sampling_callback=model) as client:
            for task in ("one", "two"):
                await answer(client, "record_trajectory", task=task, outcome="failure")
            (known, _) = all_of(await answer(client, "distill"), "experience_id")
            verdict = decision(0, "discard", into=known)
            model.replies += [lessons(f"{LESSONS[0]} Really."), decisions(verdict)]
            assert all_of(await answer(client, "distill"), "decision") == ["discard"]
        errors.seek(0)
        assert errors.read() == ""
