"""What comes in from outside: one sentence in our words for each kind of bad input."""

import copy
import json
import math
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flex_mcp.errors import InputError
from flex_mcp.learning.briefing import SaveArguments
from flex_mcp.models import TRAJECTORY_LIMIT, Lesson, Level, Outcome, Step, StepKind, Zone
from flex_mcp.models.experiences import Snapshot
from flex_mcp.tools.arguments import (
    CurateArguments,
    DistillArguments,
    GetArguments,
    RecordArguments,
    ReportArguments,
    SearchArguments,
)
from flex_mcp.validation import adapter, checked, published, schema_of

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

LEVELS = {"levels": ["pattern", "instance"]}
ZONES = {"zones": ["golden", "warning"]}
VERIFIED = {"verified_by": "ground_truth"}
NEEDED = "task, outcome are missing: give them too"

REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (SearchArguments, {}, "query is missing: give it too"),
    (SearchArguments, {"query": ""}, "query is empty: say it in words"),
    (SearchArguments, {"query": " \n"}, "query is empty: say it in words"),
    (SearchArguments, {"query": 7}, "query cannot be 7; it must be text"),
    (SearchArguments, {"query": None}, "query is missing: give it too"),
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
        {"query": "x", "zones": "golden, gold"},
        "zones[1] cannot be 'gold'; it is one of: golden, warning, mixed",
    ),
    (
        SearchArguments,
        {"query": "x", "limit": True},
        "limit cannot be 'true'; it must be a whole number",
    ),
    (
        SearchArguments,
        {"query": "x", "domian": "d"},
        (
            "there is no argument 'domian' (did you mean 'domain'?); "
            "it takes query, domain, project, all_projects, zones, levels, limit, detail"
        ),
    ),
    (
        SearchArguments,
        {"query": "x", "top_k": 3},
        (
            "there is no argument 'top_k'; it takes query, domain, project, all_projects, zones, levels, limit, detail"
        ),
    ),
    (
        SearchArguments,
        {"query": "x", "domain": "d" * 201},
        "domain has 201 characters; the limit is 200: shorten it",
    ),
    (GetArguments, {"ids": []}, "ids is an empty list: name at least one"),
    (GetArguments, {"ids": [""]}, "ids is an empty list: name at least one"),
    (GetArguments, {"ids": None}, "ids is missing: give it too"),
    (GetArguments, {"ids": ""}, "ids is missing: give it too"),
    (SaveArguments, {"lessons": "", "brief_id": "b_1"}, "lessons is missing: give it too"),
    (SaveArguments, {"lessons": None, "brief_id": "b_1"}, "lessons is missing: give it too"),
    (RecordArguments, {"task": "T", "outcome": ""}, "outcome is missing: give it too"),
    (RecordArguments, {"task": None, "outcome": None}, NEEDED),
    (GetArguments, {"ids": ["e"] * 11}, "ids has 11 items; the limit is 10: send fewer"),
    (GetArguments, {"ids": [1]}, "ids[0] cannot be 1; it must be text"),
    (
        RecordArguments,
        {"task": "T", "outcome": "won"},
        "outcome cannot be 'won'; it is one of: success, failure, partial, unknown",
    ),
    (RecordArguments, RECORD | {"score": 2}, "score is too large; it must be at most 1.0"),
    (RecordArguments, RECORD | {"score": "high"}, "score cannot be 'high'; it must be a number"),
    (RecordArguments, RECORD | {"score": math.nan}, "score cannot be nan; it must be a number"),
    (RecordArguments, RECORD | {"score": -math.inf}, "score cannot be -inf; it must be a number"),
    (RecordArguments, RECORD | {"score": True}, "score cannot be 'true'; it must be a number"),
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
            "zone, level, title, when, lesson, examples, domain, project, tags, priority, revision"
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
    (Lesson, LESSON | {"title": ""}, "title is empty: say it in words"),
    (Lesson, LESSON | {"tags": ["a", 7]}, "tags[1] cannot be 7; it must be text"),
    (
        ReportArguments,
        {"outcome": "success", "retrieval_id": "r_1", "score": 0.5, "helpful": [1]},
        (
            "helpful[0] cannot be 1; it must be text; "
            "feedback, score and verified_by go with a trajectory, not a search"
        ),
    ),
    (
        SaveArguments,
        {"lessons": [], "brief_id": "b_1", "trajectory_ids": "t_1", "lesson": []},
        (
            "there is no argument 'lesson' (did you mean 'lessons'?); "
            "it takes lessons, brief_id, trajectory_ids; "
            "give brief_id or trajectory_ids, not both: a brief knows its own"
        ),
    ),
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


def test_a_refusal_says_all_that_is_wrong_at_once() -> None:
    with pytest.raises(InputError) as refused:
        checked(
            RecordArguments,
            {
                "outcome": "won",
                "steps": [{"kind": "dream", "content": "x"}, {"kind": "thought"}],
                "transcript": "y",
                "score": 2,
                "feedback": "half \ud83d",
                "domain": "d" * 201,
                "lesson": [],
                "agent": "me",
                "helpful": 7,
            },
        )
    for said in (
        "outcome cannot be 'won'",
        "steps[0].kind cannot be 'dream'",
        "task, steps[1].content are missing",
        "give steps or transcript, not both",
        "score is too large",
        "a text holds half of a surrogate pair",
        "domain has 201 characters",
        "there is no argument 'lesson' (did you mean 'lessons'?)",
        "agent cannot be 'me'; it must be an object",
        "helpful cannot be 7; it must be a list",
    ):
        assert said in str(refused.value)


# What models send


STEP = {"kind": "action", "content": "make"}
WHOLE: list[tuple[type, dict[str, Any]]] = [
    (SearchArguments, {"query": "x"}),
    (GetArguments, {"ids": ["e_1"]}),
    (RecordArguments, RECORD | {"steps": [STEP], "lessons": [LESSON], "agent": {"model": "m"}}),
    (RecordArguments, RECORD | {"transcript": "t"}),
    (DistillArguments, {}),
    (SaveArguments, {"lessons": [LESSON], "brief_id": "b_1"}),
    (ReportArguments, {"outcome": "success", "trajectory": "t_1"}),
    (CurateArguments, {"id": "e_1", "action": "edit", "reason": "r", "fields": {"priority": 4}}),
    (Lesson, LESSON),
]


def left_out(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object in a value with the name of an optional argument that is not in it."""
    schema = next(iter(schema.get("anyOf", [schema])))
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from left_out(schema["items"], item)
    elif isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        for name, inner in schema["properties"].items():
            if name in given:
                yield from left_out(inner, given[name])
            elif name not in schema.get("required", ()):
                yield given, name


PROSE = {"transcript", "answer", "feedback", "when", "reason", "content", "lesson"}
WORDS = ("", " \n", "null", "None", "undefined", "NULL", " null ")
NOTHING: list[Any] = [None, [], {}, [""], [None], *WORDS]


@given(st.sampled_from(WHOLE), st.sampled_from(NOTHING), st.data())
def test_an_optional_argument_that_says_nothing_is_as_if_left_out_at_any_depth(
    whole: tuple[type, dict[str, Any]], nothing: Any, drawn: st.DataObject
) -> None:
    kind, value = whole
    value = copy.deepcopy(value)
    places = [
        (place, name)
        for place, name in left_out(schema_of(kind), value)
        if not isinstance(nothing, list) or nothing == [] or takes_texts(kind, name)
        if not isinstance(nothing, str) or not nothing.strip() or name not in PROSE
    ]
    place, name = drawn.draw(st.sampled_from(places or [({}, "")]))
    place[name] = nothing
    assert checked(kind, value) == checked(kind, whole[1])


def takes_texts(kind: type, name: str) -> bool:
    schema = schema_of(kind)["properties"].get(name, {})
    option = next(iter(schema.get("anyOf", [schema])))
    return option.get("items", {}).get("type") == "string"


@pytest.mark.parametrize("word", ["null", "None", "undefined"])
def test_a_word_for_nothing_is_text_where_text_is_needed_and_an_item_of_a_list(word: str) -> None:
    assert checked(SearchArguments, {"query": word}).query == word
    lesson = checked(Lesson, LESSON | {"title": word, "tags": [word], "domain": word})
    assert (lesson.title, lesson.tags, lesson.domain) == (word, (word,), None)


@pytest.mark.parametrize("word", ["null", "None", "undefined"])
def test_a_word_for_nothing_may_be_an_answer(word: str) -> None:
    told = checked(RecordArguments, RECORD | {"answer": word, "feedback": word})
    assert (told.answer, told.feedback) == (word, word)


def test_half_of_a_character_in_json_text_becomes_one_sign() -> None:
    steps = '[{"kind": "action", "content": "cut \\ud83d"}]'
    read = checked(RecordArguments, RECORD | {"steps": steps}).steps or ()
    assert [step.content for step in read] == ["cut \ufffd"]


def test_an_empty_body_is_none() -> None:
    empty: list[object] = []
    steps = checked(RecordArguments, RECORD | {"steps": [STEP], "transcript": ""})
    assert (len(steps.steps or ()), steps.transcript) == (1, None)
    transcript = checked(RecordArguments, RECORD | {"steps": empty, "transcript": "t"})
    assert (transcript.steps, transcript.transcript) == (None, "t")


def test_a_blank_item_of_a_list_of_texts_is_left_out() -> None:
    lesson = checked(Lesson, LESSON | {"examples": ["a", "", None, " "], "tags": ["", "b"]})
    assert (lesson.examples, lesson.tags) == (("a",), ("b",))


FIELDS = {"priority": 4, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("kind", "sent", "meant"),
    [
        (SearchArguments, {"query": "x", "zones": '["golden"]'}, {"zones": ["golden"]}),
        (SearchArguments, {"query": "x", "zones": ' \n["golden"]'}, {"zones": ["golden"]}),
        (RecordArguments, RECORD | {"steps": json.dumps([STEP])}, {"steps": [STEP]}),
        (RecordArguments, RECORD | {"steps": [json.dumps(STEP)]}, {"steps": [STEP]}),
        (RecordArguments, RECORD | {"steps": json.dumps([json.dumps(STEP)])}, {"steps": [STEP]}),
        (RecordArguments, RECORD | {"steps": STEP}, {"steps": [STEP]}),
        (RecordArguments, RECORD | {"agent": '{"name": "n"}'}, {"agent": {"name": "n"}}),
        (RecordArguments, RECORD | {"lessons": LESSON}, {"lessons": [LESSON]}),
        (RecordArguments, RECORD | {"lessons": json.dumps(LESSON)}, {"lessons": [LESSON]}),
        (RecordArguments, RECORD | {"lessons": [f" {json.dumps(LESSON)}"]}, {"lessons": [LESSON]}),
        (
            RecordArguments,
            RECORD | {"lessons": [LESSON | {"tags": '["a"]'}]},
            {"lessons": [LESSON | {"tags": ["a"]}]},
        ),
        (
            CurateArguments,
            {"id": "e", "action": "edit", "reason": "r", "fields": json.dumps(FIELDS)},
            {"fields": FIELDS},
        ),
        (SearchArguments, {"query": "x", "zones": "golden"}, {"zones": ["golden"]}),
        (SearchArguments, {"query": "x", "levels": "pattern,instance"}, LEVELS),
        (GetArguments, {"ids": "e_1"}, {"ids": ["e_1"]}),
        (GetArguments, {"ids": "e_1, e_2"}, {"ids": ["e_1", "e_2"]}),
        (RecordArguments, RECORD | {"helpful": "e_1"}, {"helpful": ["e_1"]}),
        (Lesson, LESSON | {"tags": "a, b"}, {"tags": ["a", "b"]}),
        (Lesson, LESSON | {"examples": "one, two"}, {"examples": ["one, two"]}),
        (Lesson, LESSON | {"examples": "[INFO] up → [WARN]"}, {"examples": ["[INFO] up → [WARN]"]}),
        (Lesson, LESSON | {"examples": "[1, 2]"}, {"examples": ["[1, 2]"]}),
        (Lesson, LESSON | {"trajectory_ids": "t_1"}, {"trajectory_ids": ["t_1"]}),
        (SearchArguments, {"query": "x", "limit": "5"}, {"limit": 5}),
        (SearchArguments, {"query": "x", "limit": 7.0}, {"limit": 7}),
        (RecordArguments, RECORD | {"score": "0.5"}, {"score": 0.5}),
        (SearchArguments, {"query": "x", "detail": "Detailed"}, {"detail": "detailed"}),
        (SearchArguments, {"query": "x", "zones": ["Golden", " WARNING "]}, ZONES),
        (RecordArguments, {"task": "T", "outcome": "SUCCESS"}, {"outcome": "success"}),
        (RecordArguments, RECORD | {"verified_by": "Ground Truth"}, VERIFIED),
    ],
)
def test_what_is_sent_in_another_form_is_read_as_it_is_meant(
    kind: type, sent: dict[str, Any], meant: dict[str, Any]
) -> None:
    assert checked(kind, sent) == checked(kind, sent | meant)


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
def test_a_published_schema_is_plain_types_names_choices_and_words(kind: type) -> None:
    for node in nodes(published(kind)):
        assert node.keys() <= {"type", "properties", "required", "items", "enum", "description"}
        assert node["type"] in {"object", "array", "boolean", "string", "integer", "number"}
        assert ("items" in node) is (node["type"] == "array")
        assert ("properties" in node) is (node["type"] == "object")
        assert set(node.get("required", ())) <= node.get("properties", {}).keys()


@pytest.mark.parametrize("kind", TOOLS)
def test_a_published_schema_names_each_argument_and_the_required_ones(kind: type) -> None:
    ours, theirs = schema_of(kind), published(kind)
    assert theirs["properties"].keys() == ours["properties"].keys()
    assert theirs.get("required", []) == ours.get("required", [])


def test_what_a_model_must_know_of_limits_is_said_in_words() -> None:
    lesson = published(SaveArguments)["properties"]["lessons"]["items"]["properties"]
    assert "120 characters" in lesson["title"]["description"]
    assert "1 to 20" in published(SearchArguments)["properties"]["limit"]["description"]
    assert "Up to 10" in published(GetArguments)["properties"]["ids"]["description"]


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


def test_a_domain_that_an_older_library_kept_with_a_backslash_is_still_read() -> None:
    kept = {"zone": "golden", "level": "pattern", "title": "T", "when": "", "lesson": "L"}
    snapshot = adapter(Snapshot).validate_python(kept | {"domain": r"c:\work"})
    assert snapshot.domain == r"c:\work"
