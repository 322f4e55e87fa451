"""The seven tools, through an in-memory client of both protocol eras."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from inline_snapshot import snapshot
from mcp import Client
from support.client import ERAS, Era, answer, connected, refusal, text_of

from flex_mcp.demo.demo import data
from flex_mcp.server.server import INSTRUCTIONS
from flex_mcp.tools.answers import DETAILED_LIMIT

pytestmark = pytest.mark.anyio

TASK = data("trajectories.json")[0]["task"]


async def learn(client: Client) -> dict[str, Any]:
    """The demonstration's two trajectories, distilled through a brief."""
    for trajectory in data("trajectories.json"):
        await answer(client, "record_trajectory", **trajectory)
    brief = await answer(client, "distill")
    lessons = data("lessons.json")["lessons"]
    return await answer(client, "save_lessons", brief_id=brief["brief_id"], lessons=lessons)


@pytest.mark.parametrize("era", ERAS)
async def test_an_assistant_learns_in_one_session_and_finds_it_in_the_next(
    tmp_path: Path, era: Era
) -> None:
    path, scenario = tmp_path / "library.db", data("scenario.json")
    async with connected(path, era) as client:
        assert (await answer(client, "search_experience", query=TASK))["nothing_relevant"]
        saved = await learn(client)
        assert [one["decision"] for one in saved["decisions"]] == ["add"] * 5
        assert saved["remaining"] == 0
    async with connected(path, era) as client:
        found = await answer(client, "search_experience", query=scenario["next_task"])
        assert found["hits"][0]["title"] in scenario["expected"].values()
        assert 0 < found["hits"][0]["fit"] <= 1
        for lesson in data("lessons.json")["lessons"]:
            again = await answer(client, "search_experience", query=lesson["when"])
            assert lesson["title"] in {hit["title"] for hit in again["hits"]}
        found = await answer(client, "search_experience", query=scenario["unrelated_task"])
        assert found["nothing_relevant"]
        assert found["hits"] == []


@pytest.mark.parametrize("era", ERAS)
async def test_tools_list_is_small_complete_and_strict(tmp_path: Path, era: Era) -> None:
    async with connected(tmp_path / "library.db", era) as client:
        listed = await client.list_tools()
    whole = listed.model_dump(mode="json", by_alias=True, exclude_none=True)
    paid = [
        {key: tool[key] for key in ("name", "description", "inputSchema")}
        for tool in whole["tools"]
    ]
    assert len(json.dumps(paid, separators=(",", ":"))) < 10_000
    assert len(json.dumps(whole, separators=(",", ":"))) < 24_000
    for tool in listed.tools:
        assert tool.title
        assert tool.output_schema is not None
        assert tool.annotations is not None
        hints = tool.annotations.model_dump(exclude={"title"})
        assert None not in hints.values(), tool.name
        for noise in ("additionalProperties", "uniqueItems", "anyOf", '"null"', "max", '"default"'):
            assert noise not in json.dumps(tool.input_schema), tool.name
        assert tool.meta is not None
        assert DETAILED_LIMIT < tool.meta["anthropic/maxResultSizeChars"] <= 500_000
        for schema in (tool.input_schema, tool.output_schema):
            assert '"title": "' not in json.dumps(schema)
            assert "$ref" not in json.dumps(schema)
            jsonschema.Draft202012Validator.check_schema(schema)


async def test_the_tools_are_named_and_described_for_a_model(tmp_path: Path) -> None:
    async with connected(tmp_path / "library.db") as client:
        listed = await client.list_tools()
        assert client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS) <= 2_000  # a client cuts there
    assert {tool.name: tool.description for tool in listed.tools} == snapshot(
        {
            "search_experience": "Find lessons from earlier work: call it before you start a task, and again when stuck. Give the task itself as query, not keywords. Answers the few lessons that fit, best first, or nothing_relevant.",
            "get_experience": "Read experiences whole: examples, evidence, counters, history.",
            "record_trajectory": "Store what you did for a task, how it ended and the lessons it taught, failures too. Call it when work has ended. The same is stored once; with its key it may tell a later outcome.",
            "distill": "Turn recorded trajectories into lessons. Where no other model does it you get a brief: answer it with save_lessons.",
            "save_lessons": "Keep lessons: the answer to a brief, or what you know without one. Each is added, merged, discarded or supersedes another.",
            "report_outcome": "Say later how work ended, by its trajectory or a search, and what helped or misled.",
            "curate_experience": "Correct one experience: approve, quarantine, retire, restore, edit, revert, merge.",
        }
    )


async def test_every_answer_keeps_to_its_published_schema(tmp_path: Path) -> None:
    async with connected(tmp_path / "library.db") as client:
        listed = await client.list_tools()
        schemas = {tool.name: tool.output_schema or {} for tool in listed.tools}

        async def valid(tool: str, **arguments: Any) -> dict[str, Any]:
            content = await answer(client, tool, **arguments)
            jsonschema.validate(content, schemas[tool])
            return content

        recorded = [
            await valid("record_trajectory", **trajectory)
            for trajectory in data("trajectories.json")
        ]
        brief = await valid("distill", trajectory_ids=[one["trajectory_id"] for one in recorded])
        lessons = data("lessons.json")["lessons"]
        await valid("save_lessons", brief_id=brief["brief_id"], lessons=[*lessons, {"bad": 1}])
        await valid("distill")
        found = await valid("search_experience", query=TASK, detail="detailed")
        id_ = found["hits"][0]["id"]
        await valid("get_experience", ids=[id_, "e_unknown"])
        await valid("report_outcome", retrieval_id=found["retrieval_id"], outcome="success")
        await valid("curate_experience", id=id_, action="retire", reason="an example")


async def test_distill_hands_out_what_an_assistant_needs_to_write_lessons(tmp_path: Path) -> None:
    async with connected(tmp_path / "library.db") as client:
        await learn(client)
        again = data("trajectories.json")[0] | {"answer": "another one"}
        await answer(client, "record_trajectory", **again)
        result = await client.call_tool("distill", {})
    brief, text = result.structured_content, text_of(result)
    assert brief["road"] == "assistant"
    assert "software/debugging" in brief["domains"]
    assert [one["task"] for one in brief["trajectories"]] == [TASK]
    assert "Passing tests and an editable install" in json.dumps(brief["neighbours"])
    for needed in (brief["brief_id"], TASK.split(".")[0], "Passing tests", "software/debugging"):
        assert needed in text
    for needed in ("golden", "warning", "mixed", "principle", "merge", "discard", "supersede"):
        assert needed in brief["instructions"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_session_is_told_once_what_waits(tmp_path: Path, era: Era) -> None:
    said = "2 recorded trajectories have no lessons yet: distill."
    for _ in range(2):
        async with connected(tmp_path / "library.db", era) as client:
            for trajectory in data("trajectories.json"):
                await answer(client, "record_trajectory", **trajectory)
            first = await answer(client, "search_experience", query=TASK)
            again = await answer(client, "search_experience", query=TASK)
            assert said in first["notice"]
            assert "no lessons yet" not in again.get("notice", "")


async def test_an_outcome_is_told_later_by_the_key_of_the_work(tmp_path: Path) -> None:
    async with connected(tmp_path / "library.db") as client:
        found = await answer(client, "search_experience", query=TASK)
        work = data("trajectories.json")[0] | {"outcome": "unknown", "key": "nightly 7"}
        used = [found["retrieval_id"]]
        recorded = await answer(
            client,
            "record_trajectory",
            **work,
            lessons=data("lessons.json")["lessons"][:1],
            retrieval_ids=used,
            helpful=["e_nobody"],
        )
        assert recorded["unmatched"] == ["e_nobody"]
        assert "No search of this work served e_nobody" in recorded["next"]
        (made,) = recorded["decisions"]
        told = await answer(
            client, "report_outcome", trajectory="nightly 7", outcome="failure", feedback="red"
        )
        assert told["lessons"] == [made["experience_id"]]
        again = await answer(client, "record_trajectory", **work | {"outcome": "success"})
        assert (again["new"], again["changed"]) == (False, "success")
        assert f"{made['experience_id']} was learnt from it" in again["next"]


async def test_lessons_are_saved_without_a_brief(tmp_path: Path) -> None:
    lesson = data("lessons.json")["lessons"][0]
    async with connected(tmp_path / "library.db") as client:
        saved = await answer(client, "save_lessons", lessons=[lesson])
        assert "brief_id" not in saved
        id_ = saved["decisions"][0]["experience_id"]
        (told,) = (await answer(client, "get_experience", ids=[id_]))["experiences"]
        assert (told["origin"]["kind"], told["evidence"]) == ("told", [])
        refusals: tuple[tuple[dict[str, Any], str], ...] = (
            ({"lessons": []}, "there are no lessons: give some, or brief_id where none"),
            (
                {"lessons": [lesson], "brief_id": "b_a", "trajectory_ids": ["t_a"]},
                "give brief_id or trajectory_ids, not both",
            ),
            ({"lessons": [lesson], "trajectory_ids": ["t_a"]}, "there is no trajectory t_a"),
        )
        for wrong, sentence in refusals:
            assert (await refusal(client, "save_lessons", **wrong)).startswith(sentence)


async def test_two_experiences_are_merged_and_the_answer_names_both(tmp_path: Path) -> None:
    lesson = data("lessons.json")["lessons"][0]
    async with connected(tmp_path / "library.db") as client:
        both = [lesson, lesson | {"level": "instance"}]
        saved = await answer(client, "save_lessons", lessons=both)
        gone, stays = (one["experience_id"] for one in saved["decisions"])
        (near,) = saved["decisions"][1]["candidates"]
        assert (near["id"], near["relation"]) == (gone, "same")
        merged = await answer(
            client, "curate_experience", id=gone, action="merge", into=stays, reason="the same"
        )
        assert (merged["experience"]["id"], merged["also"]["id"]) == (stays, gone)
        back = await answer(client, "curate_experience", id=stays, action="revert", reason="no")
        assert back["also"]["id"] == gone
        assert back["also"]["revision"]["kind"] == "restore"


async def test_a_malformed_lesson_never_refuses_the_others(tmp_path: Path) -> None:
    good = data("lessons.json")["lessons"][0]
    async with connected(tmp_path / "library.db") as client:
        recorded = await answer(
            client,
            "record_trajectory",
            task="a task",
            outcome="success",
            lessons=["no object", good | {"zone": "gold"}, good | {"titel": "x"}, good],
        )
    assert [(one["decision"], one.get("reason")) for one in recorded["decisions"]] == snapshot(
        [
            ("refused", "the lesson cannot be 'no object'; it must be an object"),
            ("refused", "zone cannot be 'gold'; it is one of: golden, warning, mixed"),
            (
                "refused",
                "there is no argument 'titel' (did you mean 'title'?); it takes zone, level, title, when, lesson, examples, domain, project, tags, action, into, reason, trajectory_ids",
            ),
            ("add", None),
        ]
    )
    assert recorded["state"] == "distilled"


async def test_lessons_in_any_form_are_kept_and_one_that_is_no_unicode_is_refused_alone(
    tmp_path: Path,
) -> None:
    good = data("lessons.json")["lessons"][0]
    lessons = [good | {"title": "half \ud83d"}, json.dumps(good | {"tags": "a, b"})]
    async with connected(tmp_path / "library.db") as client:
        saved = await answer(client, "save_lessons", lessons=lessons)
        refused, added = saved["decisions"]
        assert refused["reason"] == "a text holds half of a surrogate pair: send valid Unicode"
        shown = await answer(client, "get_experience", ids=added["experience_id"])
    assert shown["experiences"][0]["tags"] == ["a", "b"]


@pytest.mark.parametrize("sign", ["word ", "汉字。", "のは", "한국", "\n", "🙂"])
async def test_no_answer_is_longer_than_clients_show(tmp_path: Path, sign: str) -> None:
    def text(most: int) -> str:
        return (sign * most)[: most - 1] + "x"

    lessons = [
        {
            "zone": "golden",
            "level": "pattern",
            "title": f"{number} deploy",
            "when": text(2_000),
            "lesson": f"deploy {number} {text(7_900)}",
            "examples": [f"{example} {text(3_900)}" for example in range(20)],
            "tags": [f"{tag} {text(50)}" for tag in range(20)],
            "domain": f"d{number}",
        }
        for number in range(10)
    ]
    async with connected(tmp_path / "library.db") as client:

        async def forms(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, text_of(result)
            whole = json.dumps(result.structured_content, ensure_ascii=False)
            for form in (text_of(result), whole):
                signs = sum(one > "\u0590" for one in form)
                assert len(form) < 50_000
                assert signs + (len(form) - signs) / 4 < 25_000
            content = result.structured_content
            assert content is not None
            return content

        saved = await forms("save_lessons", lessons=lessons)
        ids = [one["experience_id"] for one in saved["decisions"] if "experience_id" in one]
        (alone,) = (await forms("get_experience", ids=ids[0]))["experiences"]
        assert alone["lesson"] == lessons[0]["lesson"]
        assert "characters of its examples: read flex://experience/" in alone["left_out"]
        for one in (await forms("get_experience", ids=ids))["experiences"]:
            assert "ask for this id alone" in one["left_out"]
        found = await forms("search_experience", query="deploy", detail="detailed", limit=20)
        assert len(found["hits"]) + found["omitted"] <= 10
        await forms("curate_experience", id=ids[0], action="retire", reason=text(2_000))


async def test_the_client_that_asks_is_written_into_the_history(tmp_path: Path) -> None:
    async with connected(tmp_path / "library.db") as client:
        saved = await learn(client)
        id_ = saved["decisions"][0]["experience_id"]
        shown = await answer(client, "get_experience", ids=[id_])
    assert shown["experiences"][0]["history"][0]["actor"].startswith("mcp")


@pytest.mark.parametrize("era", ERAS)
async def test_a_library_that_cannot_be_opened_stops_no_handshake_and_is_tried_again(
    tmp_path: Path, era: Era
) -> None:
    path = tmp_path / "library.db"
    path.write_text("this is no library, and long enough to have a header" * 20, encoding="utf-8")
    async with connected(path, era) as client:
        assert len((await client.list_tools()).tools) == 7
        sentence = await refusal(client, "search_experience", query="x")
        assert str(path) in sentence
        assert "left as it is" in sentence
        path.unlink()
        assert (await answer(client, "search_experience", query="x"))["nothing_relevant"]


async def test_a_refusal_is_one_sentence_that_names_the_argument(tmp_path: Path) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("search_experience", {"query": " "}),
        ("search_experience", {"query": "x", "limit": 21}),
        ("search_experience", {"query": "x", "zone": "golden"}),
        ("get_experience", {"ids": ["e_aaaaaaaaaaaa"]}),
        ("record_trajectory", {"task": "x"}),
        ("record_trajectory", {"task": "x", "outcome": "won"}),
        (
            "record_trajectory",
            {
                "task": "x",
                "outcome": "success",
                "steps": [{"kind": "thought", "content": "x"}],
                "transcript": "y",
            },
        ),
        ("distill", {"trajectory_ids": ["t_x"]}),
        ("save_lessons", {"brief_id": "b_x", "lessons": []}),
        ("save_lessons", {"brief_id": "b_x", "lessons": [{}] * 51}),
        ("report_outcome", {"retrieval_id": "r_x", "outcome": "success"}),
        ("report_outcome", {"outcome": "success"}),
        ("report_outcome", {"retrieval_id": "r_x", "outcome": "success", "score": 1}),
        ("report_outcome", {"trajectory": "nightly 7", "outcome": "success"}),
        ("curate_experience", {"id": "e_x", "action": "retire", "reason": "y"}),
        ("curate_experience", {"id": "e_x", "action": "edit", "reason": "y", "fields": {"x": 1}}),
    ]
    async with connected(tmp_path / "library.db") as client:
        said = [await refusal(client, tool, **arguments) for tool, arguments in calls]
    assert said == snapshot(
        [
            "query is empty: say it in words",
            "limit is too large; it must be at most 20",
            "there is no argument 'zone' (did you mean 'zones'?); it takes query, domain, project, all_projects, zones, levels, limit, detail",
            "there is no experience e_aaaaaaaaaaaa: a search gives ids",
            "outcome is missing: give it too",
            "outcome cannot be 'won'; it is one of: success, failure, partial, unknown",
            "give steps or transcript, not both: they are two forms of the same text",
            "there is no trajectory t_x: record_trajectory gives ids",
            "there is no brief 'b_x': distill gives one",
            "lessons has 51 items; the limit is 50: send fewer",
            "there is no retrieval 'r_x' (one that was cut off is not kept): name that of a search_experience answer, or none",
            "give retrieval_id or trajectory: one of the two",
            "feedback, score and verified_by go with a trajectory, not a search",
            "there is no trajectory 'nightly 7', by id or key: record_trajectory gives ids",
            "there is no experience 'e_x': a search gives ids",
            "there is no argument 'fields.x'; it takes zone, level, title, when, lesson, examples, domain, project, tags, priority, revision",
        ]
    )


@pytest.mark.parametrize("empty", [None, "", []])
async def test_an_optional_argument_that_is_empty_is_left_out(tmp_path: Path, empty: Any) -> None:
    names = ("domain", "zones", "levels", "limit", "detail")
    async with connected(tmp_path / "library.db") as client:
        for tool, given in (
            ("search_experience", {"query": "x"} | dict.fromkeys(names, empty)),
            (
                "record_trajectory",
                {"task": "x", "outcome": "success", "key": empty, "steps": empty},
            ),
        ):
            result = await client.call_tool(tool, given)
            assert not result.is_error, text_of(result)
        refused = await client.call_tool("search_experience", {"query": "x", "zone": empty})
        assert "there is no argument 'zone'" in text_of(refused)
