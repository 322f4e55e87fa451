"""A model behind the Messages API: the real client, over real HTTP, at a server of our own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic, BadRequestError, Omit
from support.fakes import record
from support.messages_api import (
    Answer,
    Fault,
    Json,
    Reaction,
    broken,
    critic_and_updater,
    decision,
    expired,
    garbage,
    in_turn,
    lesson,
    messages_api,
    nobody_listens,
    refusal,
    slow,
    status,
    truncated,
)

from flex_mcp.errors import ModelError, ModelServiceError
from flex_mcp.learning import critic
from flex_mcp.learning.critic import CriticAnswer
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.llm import MAX_TOKENS, AnthropicLLM
from flex_mcp.learning.prompts import Prompts
from flex_mcp.learning.updater import UpdaterAnswer
from flex_mcp.library.library import Library
from flex_mcp.models import Action, DecisionKind, Road
from flex_mcp.models.briefs import Message, Prompt, Reply, Stop, Turn
from flex_mcp.validation import parsed, schema_of

KEY = "sk-ant-api03-of-nobody"
MODEL = "claude-haiku-5-5"
SYSTEM = "Write lessons. " * 20


BY_BRIEF = """
from flex_mcp import open_library
from flex_mcp.learning.distiller import Distiller
from flex_mcp.models import Outcome, Trajectory
from flex_mcp.learning.prompts import Prompts
with open_library(sys.argv[1]) as library:
    library.record(Trajectory(task="Build the wheel", outcome=Outcome.SUCCESS))
    assert Distiller(library, Prompts()).distill().question is not None
"""


def turn(text: str = "What was to be learnt?", place: int = 1, kind: type = CriticAnswer) -> Turn:
    prompt = Prompt(
        system=SYSTEM, messages=(Message("user", text),), schema=schema_of(kind), shape=""
    )
    return Turn(brief_id="b_k3x5u2m7qa4c", place=place, prompt=prompt)


def llm(url: str | None, **values: Any) -> AnthropicLLM:
    return AnthropicLLM(KEY, model=MODEL, base_url=url, **({"retries": 0} | values))


def failed(asked: AnthropicLLM) -> ModelError:
    """What asking raises; it says what becomes of the trajectories, and never the key."""
    with pytest.raises(ModelError) as caught:
        asked.ask(turn())
    assert "; the trajectories stay pending: " in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value


def test_a_question_is_answered_with_its_text_its_model_and_the_tokens_it_cost() -> None:
    with messages_api(lambda _: '{"lessons": []}') as api:
        reply = llm(api.url).ask(turn())
    read = len(SYSTEM) // 4 + len("What was to be learnt?") // 4
    assert reply == Reply(
        text='{"lessons": []}', model=MODEL, stop=Stop.END, input_tokens=read, output_tokens=4
    )


def test_a_request_holds_the_fixed_part_to_be_cached_the_messages_and_the_schema() -> None:
    again = turn("?").prompt.again("no JSON", "Answer in JSON.")
    with messages_api(lambda _: "{}") as api:
        llm(api.url).ask(Turn(brief_id="b_1", place=2, prompt=again))
        (request,) = api.requests
    form = request.pop("output_config")["format"]
    assert request == {
        "model": MODEL,
        "max_tokens": MAX_TOKENS,
        "system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "no JSON"},
            {"role": "user", "content": "Answer in JSON."},
        ],
    }
    assert form["type"] == "json_schema"
    assert form["schema"]["required"] == ["lessons"]
    assert form["schema"]["properties"]["lessons"]["items"]["additionalProperties"] is False


@pytest.mark.parametrize("kind", [CriticAnswer, UpdaterAnswer])
def test_structured_outputs_take_the_schemas_of_both_roles(kind: type) -> None:
    with messages_api(lambda _: "{}") as api:
        assert llm(api.url).ask(turn(kind=kind)).stop is Stop.END


def test_the_key_goes_as_a_bearer_token_and_nowhere_else() -> None:
    with messages_api(lambda _: "{}", key=KEY) as api:
        llm(api.url).ask(turn())
        (headers,) = api.headers
    assert headers.pop("authorization") == f"Bearer {KEY}"
    assert KEY not in str(headers)


def test_a_second_question_reads_the_fixed_part_from_the_cache_and_counts_it() -> None:
    with messages_api(lambda _: "{}") as api:
        asked = llm(api.url)
        first, second = asked.ask(turn("one")), asked.ask(turn("two", 2))
        usage: list[Json] = api.usage
    fixed = len(SYSTEM) // 4
    assert [one["cache_creation_input_tokens"] for one in usage] == [fixed, 0]
    assert [one["cache_read_input_tokens"] for one in usage] == [0, fixed]
    assert first.input_tokens == second.input_tokens == fixed + len("one") // 4


@pytest.mark.parametrize(
    ("reaction", "text", "stop"),
    [
        (truncated('{"lessons": [{"zo'), '{"lessons": [{"zo', Stop.LENGTH),
        (refusal(), "", Stop.REFUSAL),
        (Answer("{", "model_context_window_exceeded"), "{", Stop.LENGTH),
        (Answer("{}", "stop_sequence"), "{}", Stop.END),
    ],
)
def test_a_reply_says_why_it_ended(reaction: Reaction, text: str, stop: Stop) -> None:
    with messages_api(lambda _: reaction) as api:
        reply = llm(api.url).ask(turn())
    assert (reply.text, reply.stop) == (text, stop)


@pytest.mark.parametrize(
    "fault",
    [status(429, retry_after=0), status(500, retry_after=0), status(529, retry_after=0), broken()],
)
def test_what_may_pass_is_asked_again(fault: Fault) -> None:
    with messages_api(in_turn(fault, "{}")) as api:
        assert llm(api.url, retries=1).ask(turn()).text == "{}"
        first, second = api.requests
    assert first == second


@pytest.mark.parametrize(
    ("code", "what", "then"),
    [
        (429, "takes no more questions for now (429)", "wait, and work on fewer at once"),
        (500, "is overloaded or has a fault (500)", "try again later, or set FLEX_MCP_DISTILLER"),
        (529, "is overloaded or has a fault (529)", "try again later, or set FLEX_MCP_DISTILLER"),
    ],
)
def test_what_does_not_pass_ends_after_the_last_attempt(code: int, what: str, then: str) -> None:
    with messages_api(lambda _: status(code, retry_after=0)) as api:
        error = failed(llm(api.url, retries=1))
        assert str(error).startswith(f"{api.url} {what}; ")
        assert len(api.requests) == 2
    assert type(error) is ModelServiceError
    assert then in str(error)


@pytest.mark.parametrize(
    ("fault", "what", "then"),
    [
        (status(401, "invalid x-api-key"), "refused the key (401)", "correct ANTHROPIC_API_KEY"),
        (status(403, "not for you"), "refused the key (403)", "correct ANTHROPIC_API_KEY"),
        (status(402, "no credit"), "has no credit (402)", "top it up, or set FLEX_MCP_DISTILLER="),
        (status(404, "model: x"), f"has no model '{MODEL}' (404)", "set FLEX_MCP_MODEL to one"),
        (garbage(code=404), "(404)", "or correct ANTHROPIC_BASE_URL"),
        (status(400, f"bad {KEY}"), "(400: bad (the key))", f"check FLEX_MCP_MODEL ({MODEL}"),
        (
            status(400, "a\n  b"),
            "refused the question (400: a b)",
            f"check FLEX_MCP_MODEL ({MODEL}",
        ),
        (garbage("<p>no", 422), "refused the question (422: ", f"check FLEX_MCP_MODEL ({MODEL}"),
    ],
)
def test_what_any_question_would_meet_is_a_fault_of_the_service(
    fault: Fault, what: str, then: str
) -> None:
    with messages_api(lambda _: fault) as api:
        error = failed(llm(api.url, retries=1))
        assert len(api.requests) == 1
        assert api.url in str(error)
    assert type(error) is ModelServiceError
    assert what in str(error)
    assert then in str(error)


def test_a_key_that_the_service_does_not_know_is_said_to_be_refused() -> None:
    with messages_api(lambda _: "{}", key="sk-another") as api:
        assert "refused the key (401)" in str(failed(llm(api.url)))
        assert api.requests == []


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (status(413), "finds the question too long (413)"),
        (status(400, "prompt is too long: 208310 tokens > 200000 maximum"), "prompt is too long"),
        (status(400, "Output blocked by content filtering policy"), "content filtering policy"),
    ],
)
def test_a_text_that_is_not_taken_says_nothing_of_the_next_one(fault: Fault, what: str) -> None:
    with messages_api(in_turn(fault, "{}")) as api:
        asked = llm(api.url)
        error = failed(asked)
        assert asked.ask(turn("short")).text == "{}"
    assert type(error) is ModelError
    assert what in str(error)
    assert str(error).endswith(
        "set FLEX_MCP_DISTILLER=assistant to have your assistant write the lessons"
    )


def test_a_limit_that_asks_for_days_is_not_slept_through() -> None:
    with messages_api(lambda _: status(429, retry_after=302_539)) as api:
        assert "takes no more questions for now (429)" in str(failed(llm(api.url, retries=2)))
        assert len(api.requests) == 1


def test_a_base_url_that_a_client_left_empty_is_anthropics_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "")
    client = AnthropicLLM(KEY, model=MODEL)._client  # pyright: ignore[reportPrivateUsage]  no network here
    assert client.base_url.host == "api.anthropic.com"


def test_a_password_in_the_base_url_is_not_shown() -> None:
    with nobody_listens() as url:
        error = failed(llm(url.replace("//", "//me:secret@")))
    assert str(error).startswith(f"{url} cannot be reached; ")


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with messages_api(lambda _: slow(60)) as api:
        error = failed(llm(api.url, timeout=0.2))
        assert str(error).startswith(f"{MODEL} at {api.url} did not answer within 0.2 seconds")
    assert type(error) is ModelServiceError
    assert "try again later, or set FLEX_MCP_DISTILLER=assistant" in str(error)


def test_a_service_that_nobody_runs_cannot_be_reached() -> None:
    with nobody_listens() as url:
        error = failed(llm(url))
        assert str(error).startswith(f"{url} cannot be reached; ")
    assert type(error) is ModelServiceError
    assert "check the network and ANTHROPIC_BASE_URL, or set FLEX_MCP_DISTILLER=" in str(error)


def test_a_connection_that_ends_in_the_middle_of_an_answer_gives_none() -> None:
    with messages_api(lambda _: broken()) as api:
        error = failed(llm(api.url))
        assert f"{api.url} cannot be reached" in str(error)
    assert type(error) is ModelServiceError


CHAT: Json = {"object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 1}}


@pytest.mark.parametrize(
    "fault",
    [
        garbage(),
        garbage(kind="application/json"),
        garbage("{}", kind="application/json"),
        garbage("[1]", kind="text/json"),
        garbage(json.dumps(CHAT), kind="application/json"),
        Fault(body=b"\xff\xfe{"),
    ],
)
def test_what_is_no_messages_api_is_named_as_that(fault: Fault) -> None:
    with messages_api(lambda _: fault) as api:
        error = failed(llm(api.url))
    assert type(error) is ModelServiceError
    assert "correct ANTHROPIC_BASE_URL, or set FLEX_MCP_DISTILLER=assistant" in str(error)


def test_a_batch_carries_many_questions_and_answers_them_by_their_keys() -> None:
    with messages_api(lambda request: request["messages"][0]["content"] + "!") as api:
        asked = llm(api.url)
        turns = [turn("one"), turn("two", 2)]
        id_ = asked.submit(turns)
        asked.ask(turns[0])
        assert [one["custom_id"] for one in api.batches[id_].requests] == [
            "b_k3x5u2m7qa4c-1",
            "b_k3x5u2m7qa4c-2",
        ]
        assert api.batches[id_].requests[0]["params"] == api.requests[0]
        assert asked.collect(id_) is None
        replies = asked.collect(id_)
    assert replies is not None
    assert {key: one.text for key, one in replies.items() if isinstance(one, Reply)} == {
        "b_k3x5u2m7qa4c-1": "one!",
        "b_k3x5u2m7qa4c-2": "two!",
    }


def test_a_question_that_a_batch_leaves_open_is_an_error_of_its_own() -> None:
    reactions: dict[str, Reaction] = {
        "fine": "{}",
        "odd": status(500),
        "late": expired(),
        "cut": truncated("{"),
    }
    with messages_api(lambda request: reactions[request["messages"][0]["content"]], polls=0) as api:
        asked = llm(api.url)
        id_ = asked.submit([turn(text, n) for n, text in enumerate(reactions)])
        replies = asked.collect(id_)
    assert replies is not None
    fine, odd, late, cut = (replies[f"b_k3x5u2m7qa4c-{n}"] for n in range(4))
    assert isinstance(fine, Reply)
    assert isinstance(cut, Reply)
    assert cut.stop is Stop.LENGTH
    for error, kind in ((odd, "errored: not now"), (late, "expired")):
        assert type(error) is ModelError
        assert f"{id_} did not answer it ({kind}); the trajectories stay pending: run" in str(error)


def test_a_batch_that_the_service_does_not_know_is_gone() -> None:
    with messages_api(lambda _: "{}") as api, pytest.raises(ModelError) as caught:
        llm(api.url).collect("msgbatch_of_last_year")
    assert type(caught.value) is ModelError
    assert "the batch msgbatch_of_last_year is gone" in str(caught.value)


@pytest.mark.parametrize("path", ["/batches", "/results"])
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (status(401), "refused the key"),
        (status(529), "is overloaded"),
        (broken(), "cannot be reached"),
        (garbage(), "speaks no Messages API"),
        (garbage("{}", kind="application/json"), "speaks no Messages API"),
        (garbage("<", kind="application/json"), "speaks no Messages API"),
    ],
)
def test_a_service_that_takes_no_batch_or_gives_none_back_says_why(
    path: str, fault: Fault, what: str
) -> None:
    with messages_api(lambda _: "{}", polls=0) as api:
        api.faults[path] = fault
        asked = llm(api.url)
        with pytest.raises(ModelServiceError, match=what):
            asked.collect(asked.submit([turn()]))


def test_a_brief_goes_through_critic_and_updater_over_http(quick: Library) -> None:
    first, second = "Pin the compiler version.", "Pin the linker version too."
    script = critic_and_updater(lambda text: [lesson(second if "link" in text else first)])
    with messages_api(script) as api:
        distiller = Distiller(quick, Prompts(), llm=llm(api.url))
        record(quick, "Compile it")
        distiller.distill()
        record(quick, "link it")
        made = distiller.distill()
        roles = [one["output_config"]["format"]["schema"]["required"] for one in api.requests]
    assert roles == [["lessons"], ["lessons"], ["decisions"]]
    assert [one.decision for one in made.decisions] == [DecisionKind.ADD]
    assert (made.road, made.model, made.remaining) == (Road.ANTHROPIC, MODEL, 0)
    assert made.tokens is not None


def test_a_model_that_cannot_be_asked_leaves_the_trajectories_pending(quick: Library) -> None:
    record(quick)
    with messages_api(lambda _: status(401)) as api:
        distiller = Distiller(quick, Prompts(), llm=llm(api.url))
        with pytest.raises(ModelServiceError, match="refused the key"):
            distiller.distill()
    assert quick.briefs.remaining() == 1


def test_a_blank_answer_is_asked_for_once_more(quick: Library) -> None:
    record(quick)
    with messages_api(in_turn(" \n", '{"lessons": []}')) as api:
        Distiller(quick, Prompts(), llm=llm(api.url)).distill()
        assert api.requests[1]["messages"][1] == {"role": "assistant", "content": "(nothing)"}
    assert quick.briefs.remaining() == 0


@pytest.mark.process
@pytest.mark.parametrize(
    "code",
    [
        "import flex_mcp.server.server",
        "import flex_mcp.cli.main",
        "from flex_mcp.learning.llm import AnthropicLLM; AnthropicLLM('key', model='some')",
        BY_BRIEF,
    ],
)
def test_the_client_is_not_loaded_before_a_model_is_asked(tmp_path: Path, code: str) -> None:
    code = f"import sys\n{code}\nprint('anthropic' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "library.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "False"


GOOD: Json = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
MARKED = {"type": "text", "text": "?", "cache_control": {"type": "ephemeral"}}


def form(schema: Json, kind: str = "json_schema") -> Json:
    return {"output_config": {"format": {"type": kind, "schema": schema}}}


@pytest.mark.parametrize(
    "more",
    [
        {"system": "?"},
        {"system": [MARKED, {"type": "text", "text": "?"}]},
        form({"type": "array", "items": {"enum": ["a", "b"]}}),
        form({"type": "object", "properties": {}, "additionalProperties": False}),
    ],
)
def test_our_server_takes_what_the_real_one_takes(more: Json) -> None:
    with messages_api(lambda _: "yes") as api, Anthropic(api_key=KEY, base_url=api.url) as client:
        assert client.messages.create(**GOOD | more).content[0].type == "text"


@pytest.mark.parametrize(
    "more",
    [
        {"model": ""},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [{"role": "user", "content": " \n"}]},
        {"messages": [{"role": "assistant", "content": "?"}]},
        {"messages": [*GOOD["messages"], *GOOD["messages"]]},
        {"messages": [*GOOD["messages"], {"role": "assistant", "content": "?"}]},
        {"messages": [GOOD["messages"][0] | {"cache_control": {"type": "ephemeral"}}]},
        {"system": [MARKED | {"text": ""}]},
        {"system": [MARKED | {"cache_control": {"type": "eternal"}}]},
        {"extra_body": {"temperature": 0}},
        {"extra_headers": {"anthropic-version": Omit()}},
        form({"type": "string"}, "json_object"),
        form({"type": "object", "properties": {}}),
        form({"type": "array", "items": {"type": "string", "minLength": 1}}),
        form({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
        form({"properties": {}}),
    ],
)
def test_our_server_refuses_what_the_real_one_refuses(more: Json) -> None:
    with (
        messages_api(lambda _: "no") as api,
        Anthropic(api_key=KEY, base_url=api.url) as client,
        pytest.raises(BadRequestError) as caught,
    ):
        client.messages.create(**GOOD | more)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.api_message


def test_the_lessons_and_decisions_of_our_scripts_are_whole() -> None:
    (made,) = critic.lessons(json.dumps({"lessons": [lesson("Pin it.")]}), [])
    assert made.lesson == "Pin it."
    (decided,) = parsed(UpdaterAnswer, json.dumps({"decisions": [decision()]})).decisions
    assert decided.action is Action.ADD


def test_an_error_of_a_script_fails_the_test() -> None:
    with (
        pytest.raises(KeyError, match="no such thing"),
        messages_api(lambda request: request["no such thing"]) as api,
    ):
        failed(llm(api.url, retries=1))
