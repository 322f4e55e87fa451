"""What comes in from outside: one sentence in our words for each kind of bad input."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from flex_mcp.errors import InputError
from flex_mcp.learning.briefing import SaveArguments
from flex_mcp.models import TRAJECTORY_LIMIT, Lesson, Level, Outcome, Step, StepKind, Zone
from flex_mcp.tools.arguments import (
    CurateArguments,
    DistillArguments,
    GetArguments,
    RecordArguments,
    ReportArguments,
    SearchArguments,
)
from flex_mcp.validation import checked, schema_of

TOOLS = [
    SearchArguments,
    GetArguments,
    RecordArguments,
    DistillArguments,
    SaveArguments,
    ReportArguments,
    CurateArguments,
]
LESSON = {"zone": "golden", "level": "pattern", "title": "T", "when": "", "lesson": "L"}
RECORD = {"task": "T", "outcome": "success"}

REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (SearchArguments, {}, "query is missing: give it too"),
    (SearchArguments, {"query": ""}, "query is empty: say it in words"),
    (SearchArguments, {"query": " \n"}, "query is empty: say it in words"),
    (SearchArguments, {"query": 7}, "query cannot be 7; it must be text"),
    (SearchArguments, {"query": None}, "query cannot be None; it must be text"),
    (
        SearchArguments,
        {"query": "x" * 20_001},
        "query has 20,001 characters; the limit is 20,000: shorten it",
    ),
    (SearchArguments, {"query": "x", "limit": 0}, "limit is too small; it must be at least 1"),
    (SearchArguments, {"query": "x", "limit": 21}, "limit is too large; it must be at most 20"),
    (
        SearchArguments,
        {"query": "x", "limit": "many"},
        "limit cannot be 'many'; it must be a whole number",
    ),
    (
        SearchArguments,
        {"query": "x", "limit": 2.5},
        "limit cannot be 2.5; it must be a whole number",
    ),
    (
        SearchArguments,
        {"query": "x", "detail": "all"},
        "detail cannot be 'all'; it is one of: concise, detailed",
    ),
    (
        SearchArguments,
        {"query": "x", "zones": ["gold"]},
        "zones[0] cannot be 'gold'; it is one of: golden, warning, mixed",
    ),
    (
        SearchArguments,
        {"query": "x", "zones": "golden"},
        "zones cannot be 'golden'; it must be a list",
    ),
    (
        SearchArguments,
        {"query": "x", "levels": []},
        "levels is an empty list: leave it out or name at least one",
    ),
    (
        SearchArguments,
        {"query": "x", "top_k": 3},
        ("there is no argument 'top_k'; it takes query, domain, zones, levels, limit, detail"),
    ),
    (
        SearchArguments,
        {"query": "x", "domain": "d" * 201},
        "domain has 201 characters; the limit is 200: shorten it",
    ),
    (GetArguments, {"ids": []}, "ids is an empty list: leave it out or name at least one"),
    (GetArguments, {"ids": ["e"] * 11}, "ids has 11 items; the limit is 10: send fewer"),
    (GetArguments, {"ids": [1]}, "ids[0] cannot be 1; it must be text"),
    (
        RecordArguments,
        {"task": "T", "outcome": "won"},
        "outcome cannot be 'won'; it is one of: success, failure, partial, unknown",
    ),
    (RecordArguments, RECORD | {"score": 2}, "score is too large; it must be at most 1.0"),
    (RecordArguments, RECORD | {"score": "high"}, "score cannot be 'high'; it must be a number"),
    (
        RecordArguments,
        RECORD | {"steps": "I tried"},
        "steps cannot be 'I tried'; it must be a list",
    ),
    (
        RecordArguments,
        RECORD | {"steps": ["I tried"]},
        "steps[0] cannot be 'I tried'; it must be an object",
    ),
    (
        RecordArguments,
        RECORD | {"steps": [{"kind": "thought", "content": "x"}, {"kind": "action"}]},
        "steps[1].content is missing: give it too",
    ),
    (
        RecordArguments,
        RECORD | {"steps": [{"kind": "dream", "content": "x"}]},
        (
            "steps[0].kind cannot be 'dream'; it is one of: "
            "thought, action, observation, message, feedback"
        ),
    ),
    (
        RecordArguments,
        RECORD | {"steps": [{"kind": "thought", "content": "x", "when": "now"}]},
        "there is no argument 'steps[0].when'; it takes kind, content, name",
    ),
    (
        RecordArguments,
        RECORD | {"steps": [{"kind": "thought", "content": "x"}], "transcript": "y"},
        "give steps or transcript, not both: they are two forms of the same text",
    ),
    (
        RecordArguments,
        RECORD | {"transcript": "é" * (TRAJECTORY_LIMIT // 2) + "!"},
        (
            "the trajectory has 5,242,881 bytes; the limit is 5,242,880 (5 MiB): "
            "leave out long outputs that taught nothing"
        ),
    ),
    (
        RecordArguments,
        RECORD | {"feedback": "half \ud83d"},
        "a text holds half of a surrogate pair: send valid Unicode",
    ),
    (
        RecordArguments,
        RECORD | {"lessons": [LESSON] * 51},
        "lessons has 51 items; the limit is 50: send fewer",
    ),
    (RecordArguments, RECORD | {"key": ""}, "key is empty: say it in words"),
    (DistillArguments, {"limit": 6}, "limit is too large; it must be at most 5"),
    (SaveArguments, {"brief_id": "b_1"}, "lessons is missing: give it too"),
    (
        CurateArguments,
        {"id": "e_1", "action": "delete", "reason": "r"},
        (
            "action cannot be 'delete'; it is one of: "
            "approve, quarantine, retire, restore, edit, revert, merge"
        ),
    ),
    (
        CurateArguments,
        {"id": "e_1", "action": "edit", "reason": "r", "fields": {"priority": 6}},
        "fields.priority is too large; it must be at most 5",
    ),
    (
        CurateArguments,
        {"id": "e_1", "action": "edit", "reason": "r", "fields": {"status": "active"}},
        (
            "there is no argument 'fields.status'; it takes "
            "zone, level, title, when, lesson, examples, domain, tags, priority, revision"
        ),
    ),
    (
        CurateArguments,
        {"id": "e_1", "action": "edit", "reason": " "},
        "reason is empty: say it in words",
    ),
    (
        Lesson,
        LESSON | {"title": "x" * 121},
        "title has 121 characters; the limit is 120: shorten it",
    ),
    (
        Lesson,
        LESSON | {"lesson": "x" * 8_001},
        "lesson has 8,001 characters; the limit is 8,000: shorten it",
    ),
    (Lesson, LESSON | {"examples": ["a", ""]}, "examples[1] is empty: say it in words"),
]


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    REFUSED,
    ids=[f"{kind.__name__}: {said}" for kind, _, said in REFUSED],
)
def test_bad_input_is_refused_with_one_sentence_that_names_the_argument(
    kind: type, value: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        checked(kind, value)
    assert str(refused.value) == sentence


def test_a_long_value_is_shown_by_its_beginning() -> None:
    with pytest.raises(InputError) as refused:
        checked(SearchArguments, {"query": "x", "detail": "y" * 5_000})
    assert len(str(refused.value)) < 200


def test_what_is_allowed_becomes_a_frozen_value() -> None:
    arguments = checked(
        RecordArguments,
        RECORD
        | {"steps": [{"kind": "action", "content": "", "name": "bash"}], "lessons": [LESSON, 7]},
    )
    assert arguments.outcome is Outcome.SUCCESS
    assert arguments.steps == (Step(kind=StepKind.ACTION, content="", name="bash"),)
    assert arguments.lessons == (LESSON, 7), "each lesson is checked by itself, later"


def test_a_text_at_its_limit_is_taken_whole() -> None:
    assert len(checked(SearchArguments, {"query": "🦜" * 20_000}).query) == 20_000
    transcript = "é" * (TRAJECTORY_LIMIT // 2)
    assert checked(RecordArguments, RECORD | {"transcript": transcript}).transcript == transcript


def test_lists_and_objects_sent_as_json_text_are_read() -> None:
    found = checked(SearchArguments, {"query": "x", "zones": '["golden"]', "levels": '["pattern"]'})
    assert (found.zones, found.levels) == ({Zone.GOLDEN}, {Level.PATTERN})
    curate = {"id": "e_1", "action": "edit", "reason": "r", "fields": '{"priority": 4}'}
    fields = checked(CurateArguments, curate).fields
    assert fields is not None
    assert fields.priority == 4


@pytest.mark.parametrize("text", ['["a", "b"]', '{"a": 1}', "[not json"])
def test_a_text_that_looks_like_json_stays_text_where_text_is_wanted(text: str) -> None:
    assert checked(SearchArguments, {"query": text}).query == text
    assert checked(RecordArguments, RECORD | {"transcript": text}).transcript == text


def test_json_text_that_cannot_be_read_is_refused_as_it_came() -> None:
    with pytest.raises(InputError, match=r"zones cannot be '\[golden'; it must be a list"):
        checked(SearchArguments, {"query": "x", "zones": "[golden"})


def test_a_value_made_by_hand_is_checked_like_a_mapping() -> None:
    lesson = Lesson(zone=Zone.GOLDEN, level=Level.PATTERN, title=" ", when="", lesson="L")
    with pytest.raises(InputError, match="title is empty"):
        checked(Lesson, lesson)


# The published schemas


def nodes(schema: object, *, schemas: bool = True) -> Iterator[dict[str, Any]]:
    """Every schema in a schema; the names of properties are no keywords."""
    if isinstance(schema, list):
        for item in cast("list[object]", schema):
            yield from nodes(item)
    elif isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        if schemas:
            yield node
        for key, value in node.items():
            yield from nodes(value, schemas=key != "properties")


@pytest.mark.parametrize("kind", TOOLS)
def test_a_schema_holds_no_titles_and_no_references(kind: type) -> None:
    for node in nodes(schema_of(kind)):
        assert not {"title", "$ref", "$defs"} & node.keys()


@pytest.mark.parametrize("kind", TOOLS)
def test_every_object_of_a_schema_is_strict(kind: type) -> None:
    objects = [node for node in nodes(schema_of(kind)) if node.get("type") == "object"]
    assert objects
    for node in objects:
        assert node["additionalProperties"] is False
        assert node["properties"]


@pytest.mark.parametrize("kind", TOOLS)
def test_a_schema_names_the_required_arguments_only_and_offers_no_null_default(kind: type) -> None:
    schema = schema_of(kind)
    assert set(schema.get("required", [])) <= schema["properties"].keys()
    for node in nodes(schema):
        assert node.get("default", "") is not None
    json.dumps(schema)


def test_the_schema_of_lessons_shows_the_shape_of_one() -> None:
    lessons = schema_of(SaveArguments)["properties"]["lessons"]
    assert lessons["maxItems"] == 50
    assert {"zone", "level", "title", "when", "lesson"} == set(lessons["items"]["required"])
    assert lessons["items"]["properties"]["title"]["maxLength"] == 120
