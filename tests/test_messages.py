"""The reader of messages: what the SDK is given is what was meant, and the rest is a sentence."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import JSONRPCNotification, JSONRPCRequest, jsonrpc_message_adapter
from support.fuzzing import anything, as_json, check_sentence, flipped, spoiled
from support.odd_messages import REFUSED, TAKEN, Refused, search

from flex_mcp.transports.lines import Lines, refused
from flex_mcp.transports.messages import Message, Refusal, read

units = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from('\ud83d\ude00\\u"\\d8\N{GRINNING FACE}'),
    )
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), units),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(units, inner)),
    max_leaves=10,
)


def parsed(message: Message) -> Any:
    """What the SDK makes of it."""
    return jsonrpc_message_adapter.validate_json(message.text, by_name=False)


@given(values)
def test_half_of_a_pair_becomes_one_sign_and_all_else_stays(value: Any) -> None:
    said = read(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"a": value}}))
    assert isinstance(said, Message)
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
    assert parsed(said).params == {"a": json.loads(whole.decode("utf-16", "replace"))}


@pytest.mark.parametrize(
    "said", ['"result":null', '"result":5', '"error":"no"', '"error":{"message":"no"}']
)
def test_an_answer_that_says_nothing_ends_what_was_asked(said: str) -> None:
    taken = read(f'{{"jsonrpc":"2.0","id":2,{said}}}')
    assert isinstance(taken, Message)
    answer = parsed(taken)
    assert (answer.id, answer.error.code) == (2, -32600)


def test_an_answer_that_cannot_be_read_names_no_id_since_it_is_one_of_ours() -> None:
    said = read('{"jsonrpc":"2.0","id":16,"result":{"x":"\\x41"}}')
    assert isinstance(said, Refusal)
    assert (said.code, said.id) == (-32700, None)


@pytest.mark.parametrize("id_", ["1764540366123456789", '"a\\/b"', '"abc\\"d"', '""'])
def test_any_id_is_found_in_what_cannot_be_read(id_: str) -> None:
    said = read(f'{{"jsonrpc":"2.0","id":{id_},"method":"tools\\/call","params":{{"a":"\\x41"}}}}')
    assert isinstance(said, Refusal)
    assert said.id == json.loads(id_)


@pytest.mark.parametrize("nothing", ["[]", '""'])
def test_no_arguments_may_be_written_as_an_empty_list(nothing: str) -> None:
    said = read(
        '{"jsonrpc":"2.0","id":1,"method":"tools/call",'
        f'"params":{{"name":"distill","arguments":{nothing}}}}}'
    )
    assert isinstance(said, Message)
    assert parsed(said).params == {"name": "distill"}


sent = st.one_of(
    st.text(),
    anything.map(as_json).map(bytes.decode),
    st.sampled_from([*(one.sent for one in REFUSED.values()), *TAKEN.values()])
    .flatmap(flipped)
    .map(lambda frame: frame.decode(errors="replace")),
    spoiled({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"_meta": {"a": 1}}})
    .map(as_json)
    .map(bytes.decode),
)


@given(sent)
def test_the_sdk_can_parse_what_is_taken_and_the_rest_is_a_sentence(text: str) -> None:
    said = read(text)
    if isinstance(said, Refusal):
        check_sentence(said.reason)
        assert said.code in {-32700, -32600}
        return
    message = parsed(said)
    if said.method is not None:
        kind = JSONRPCNotification if said.id is None else JSONRPCRequest
        assert isinstance(message, kind)
        assert getattr(message, "id", None) == said.id


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_is_refused_by_its_id_and_says_what_is_wrong(case: Refused) -> None:
    said = read(case.sent.decode())
    assert isinstance(said, Refusal)
    assert (said.code, said.id) == (case.code, case.id)
    assert case.words in said.reason


def test_a_notification_that_is_malformed_is_awaited_by_nobody() -> None:
    said = read('{"jsonrpc":"2.0","method":"notifications/x","params":[]}')
    assert isinstance(said, Refusal)
    assert not said.is_awaited


def test_a_progress_token_of_null_is_none_and_what_stands_beside_it_stays() -> None:
    meta = {"progressToken": None, "x": 1}
    said = read(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"_meta": meta}}))
    assert isinstance(said, Message)
    assert parsed(said).params == {"_meta": {"x": 1}}


@given(st.lists(st.tuples(st.sampled_from([*REFUSED]), st.sampled_from(["\n", "\r\n", "\n \n"]))))
def test_each_line_of_a_client_is_one_for_the_sdk(chosen: list[tuple[str, str]]) -> None:
    frames = [REFUSED[name].sent + end.encode() for name, end in chosen]
    lines = [*Lines(io.BytesIO(b"".join(frames) + search(1, b"x")), "utf-8", newline="\n")]
    assert len(lines) == len(frames) + 1
    for line, (name, _) in zip(lines, chosen, strict=False):
        notice = jsonrpc_message_adapter.validate_json(line)
        assert isinstance(notice, JSONRPCNotification)
        refusal = refused(notice.method, notice.params)
        assert refusal is not None
        assert (refusal.code, refusal.id) == (REFUSED[name].code, REFUSED[name].id)
    assert json.loads(lines[-1])["id"] == 1
