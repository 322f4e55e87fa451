"""A Messages API on the loopback that the real client cannot tell from the real one.

    with messages_api(critic_and_updater(lambda _: [lesson("Pin the compiler.")])) as api:
        AnthropicLLM("key", model="claude-haiku-5-5", base_url=api.url)

It refuses what the real one refuses. The script gets every body that passed and says what comes of
it, in the server's threads; an error that it raises fails the test.
"""

import json
import re
import socket
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

Json = dict[str, Any]
KINDS = {401: "authentication", 402: "billing", 403: "permission", 404: "not_found"}
OTHERS = {400: "invalid_request", 429: "rate_limit", 500: "api", 529: "overloaded"}
ERRORS = {code: f"{kind}_error" for code, kind in (KINDS | OTHERS).items()}
BATCHES = "/v1/messages/batches"
MARK = {"type": "ephemeral"}  # cache_control


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of the model, after so many seconds."""

    text: str
    stop_reason: str = "end_turn"
    wait: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A response as it stands; the functions below make those that are none of the model's."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    wait: float = 0
    cut: bool = False  # the connection ends before the body does
    item: str = ""  # what a question in a batch gets that is neither answer nor error


Reaction = str | Answer | Fault
Script = Callable[[Json], Reaction]
Role = Callable[[str], Sequence[Json] | Reaction]  # what is answered to a question's text


def status(code: int, message: str = "not now", *, retry_after: float | None = None) -> Fault:
    """The API's own error; `retry_after` in seconds, where the client takes 0 for no answer."""
    error = {"type": ERRORS.get(code, "request_too_large"), "message": message}
    body = json.dumps({"type": "error", "error": error, "request_id": _id("req")})
    wait = {} if retry_after is None else {"retry-after": str(retry_after or 0.001)}
    return Fault(status=code, body=body.encode(), headers={**Fault().headers, **wait})


def slow(seconds: float, text: str = "{}") -> Answer:
    """An answer that takes its time, or until the server shuts down."""
    return Answer(text, wait=seconds)


def garbage(text: str = "<!doctype html>", code: int = 200, kind: str = "text/html") -> Fault:
    """What something says that is no Messages API."""
    return Fault(status=code, body=text.encode(), headers={"content-type": kind})


truncated = partial(Answer, stop_reason="max_tokens")  # truncated("{")
refusal = partial(Answer, "", "refusal")
broken = partial(Fault, body=b'{"type":"mess', cut=True)  # the connection ends in mid-answer
expired = partial(Fault, item="expired")  # for a question in a batch: nobody got to it in time


def in_turn(*reactions: Reaction) -> Script:
    """One after the other; to ask more often is an error."""
    left = list(reactions)
    return lambda _: left.pop(0)


def question_of(request: Json) -> str:
    """All that a request's messages say."""
    return "\n\n".join(one["content"] for one in request["messages"])


def lesson(text: str = "Pin the compiler version in the build image.", **values: object) -> Json:
    """A lesson with every field that a critic must fill."""
    fields: Json = {"zone": "golden", "level": "pattern", "title": text[:100].strip(), "when": ""}
    fields |= {"lesson": text, "examples": [], "domain": "", "project": False}
    fields |= {"tags": [], "trajectory_ids": []}
    return fields | values


def decision(number: int = 0, action: str = "add", **values: object) -> Json:
    """What an updater decides on a lesson."""
    return {"number": number, "action": action, "into": "", "reason": ""} | values


def adds(question: str) -> list[Json]:
    """An updater that adds every lesson it is asked about."""
    return [decision(int(n)) for n in re.findall(r"^## Lesson (\d+) ", question, re.MULTILINE)]


def critic_and_updater(critic: Role, updater: Role = adds) -> Script:
    """Both roles, told apart by the schema; a Reaction of theirs passes as it is."""

    def script(request: Json) -> Reaction:
        schema = request["output_config"]["format"]["schema"]
        (name,) = schema["properties"].keys() & {"lessons", "decisions"}
        said = (critic if name == "lessons" else updater)(question_of(request))
        return said if isinstance(said, str | Answer | Fault) else json.dumps({name: list(said)})

    return script


def check(request: Json) -> None:
    """Refuse what the real one would, as far as it concerns us."""
    _check(request, "model max_tokens messages", "system output_config")
    _need(request["model"] and request["max_tokens"] > 0, "model and max_tokens must be given")
    roles = [one["role"] for one in request["messages"]]
    _need(roles == ["user", *["assistant", "user"] * (len(roles) // 2)], "roles must alternate")
    for one in request["messages"]:
        _check(one, "role content")
        _need(one["content"].strip(), "messages: text content must be non-empty")
    for block in _system(request):
        _check(block, "type text", "cache_control")
        _need(block["text"].strip(), "system: text content must be non-empty")
        _need(block.get("cache_control", MARK) in (MARK, MARK | {"ttl": "1h"}), "cache_control")
    if config := request.get("output_config"):
        _check(config, "format")
        _check(config["format"], "type schema")
        _need(config["format"]["type"] == "json_schema", "output_config.format.type")
        check_schema(config["format"]["schema"])


def check_schema(node: Json) -> None:
    """Refuse what structured outputs do not know, such as maxItems."""
    kinds, more = "type enum anyOf", "properties required additionalProperties items description"
    _check(node, "", f"{kinds} {more}")
    _need(node.keys() & {*kinds.split()}, "a schema needs a type")
    closed = node.get("type") != "object" or node.get("additionalProperties") is False
    _need(closed, "For 'object' type, 'additionalProperties' must be set to false")
    inner: list[Json] = [*node.get("properties", {}).values(), *node.get("anyOf", ())]
    for one in [*inner, node["items"]] if "items" in node else inner:
        check_schema(one)


def _check(node: Json, must: str, may: str = "") -> None:
    _need(node.keys() >= {*must.split()}, f"{must}: Field required")
    strange = node.keys() - {*must.split(), *may.split()}
    _need(not strange, f"{strange}: Extra inputs are not permitted")


def _need(holds: object, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _system(request: Json) -> list[Json]:
    said = request.get("system", [])
    return [{"type": "text", "text": said}] if isinstance(said, str) else said


@dataclass(slots=True)
class Batch:
    """`requests` hold custom_id and params; `polls`: how often it is still found under way."""

    id: str
    requests: list[Json]
    polls: int


class Api:
    """What a test sees of the server.

    `requests` are the bodies posted to /v1/messages, `headers` those of every request, as received;
    `usage` is what was said of each answer's tokens. `faults`, by the end of a path ("" is any),
    come before all else.
    """

    def __init__(self, script: Script, key: str | None, polls: int) -> None:
        self.url = ""
        self.requests: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.usage: list[Json] = []
        self.batches: dict[str, Batch] = {}
        self.faults: dict[str, Fault] = {}
        self.errors: list[Exception] = []
        self._script, self._key, self._polls = script, key, polls
        self._cached: set[str] = set()

    def response(self, path: str, headers: dict[str, str], body: bytes) -> Fault:
        self.headers.append(headers)
        for end in filter(path.endswith, self.faults):
            return self.faults[end]
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key or self._key not in {None, key}:
            return status(401, "invalid x-api-key")
        if "anthropic-version" not in headers:
            return status(400, "anthropic-version: header is required")
        try:
            return self._routed(path, body)
        except Exception as error:  # noqa: BLE001  the script's own, for the test to see
            self.errors.append(error)
            return Fault(status=500, headers={"x-should-retry": "false"})

    def _routed(self, path: str, body: bytes) -> Fault:
        match path.removeprefix(BATCHES).split("/")[1:]:
            case ["v1", "messages"] if body:
                self.requests.append(json.loads(body))
                return self._message(self.requests[-1])
            case [] if body:
                return self._submitted(json.loads(body)["requests"])
            case [id_] if id_ in self.batches:
                self.batches[id_].polls -= 1
                return self._described(self.batches[id_])
            case [id_, "results"] if id_ in self.batches:
                return self._results(self.batches[id_])
            case _:
                return status(404, "Not found")

    def _message(self, request: Json) -> Fault:
        try:
            check(request)
        except ValueError as error:
            return status(400, str(error))
        said = self._script(request)
        if isinstance(said, Fault):
            return said
        answer = Answer(said) if isinstance(said, str) else said
        content = [{"type": "text", "text": answer.text}] if answer.text else []
        body = {"id": _id("msg"), "type": "message", "role": "assistant", "content": content}
        body |= {"model": request["model"], "stop_reason": answer.stop_reason}
        body |= {"stop_sequence": None, "usage": self._used(request, answer.text)}
        return Fault(body=json.dumps(body).encode(), wait=answer.wait)

    def _used(self, request: Json, answer: str) -> Json:
        """Tokens of four characters; marked system blocks are cached by model, schema and text."""
        fixed = "".join(one["text"] for one in _system(request) if "cache_control" in one)
        fresh = "".join(one["text"] for one in _system(request) if "cache_control" not in one)
        mark = json.dumps([request["model"], request.get("output_config"), fixed])
        read = len(fixed) // 4 if mark in self._cached else 0
        used = {"input_tokens": len(fresh + question_of(request)) // 4}
        used |= {"cache_read_input_tokens": read, "output_tokens": len(answer) // 4 + 1}
        used |= {"cache_creation_input_tokens": len(fixed) // 4 - read}
        self._cached.add(mark)
        self.usage.append(used)
        return used

    def _submitted(self, requests: list[Json]) -> Fault:
        ids = {
            one["custom_id"] for one in requests if re.fullmatch(r"[\w-]{1,64}", one["custom_id"])
        }
        if not len(ids) == len(requests) > 0:
            return status(400, "requests: each needs a proper custom_id of its own")
        batch = Batch(_id("msgbatch"), requests, self._polls)
        self.batches[batch.id] = batch
        return self._described(batch)

    def _described(self, batch: Batch) -> Fault:
        ended = batch.polls < 0
        body: Json = {"id": batch.id, "type": "message_batch", "created_at": "2026-11-02T12:00:00Z"}
        body |= {"processing_status": "ended" if ended else "in_progress"}
        body |= {"request_counts": {"processing": 0 if ended else len(batch.requests)}}
        body |= {"results_url": f"{self.url}{BATCHES}/{batch.id}/results" if ended else None}
        return Fault(body=json.dumps(body).encode())

    def _results(self, batch: Batch) -> Fault:
        """In another order than they were asked; what is malformed is refused only now."""
        said = [(one["custom_id"], self._message(one["params"])) for one in batch.requests[::-1]]
        lines = [json.dumps({"custom_id": id_, "result": _result(one)}) for id_, one in said]
        return garbage("\n".join(lines), kind="application/x-jsonl")


def _result(said: Fault) -> Json:
    kind, name = ("succeeded", "message") if said.status < 400 else ("errored", "error")
    return {"type": said.item} if said.item else {"type": kind, name: json.loads(said.body)}


def _id(kind: str) -> str:
    return f"{kind}_{uuid4().hex[:24]}"


@contextmanager
def messages_api(script: Script, *, key: str | None = None, polls: int = 1) -> Generator[Api]:
    """The server, while the block lasts; it takes this key only, or any.

    A batch is found under way `polls` times, and then to have ended.
    """
    api, closing = Api(script, key, polls), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        timeout = 30  # a client that says nothing

        def do_POST(self) -> None:
            with suppress(OSError):  # a client that is gone
                self._answer(int(self.headers.get("content-length", 0)))

        def _answer(self, size: int) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            if len(body := self.rfile.read(size)) < size:
                return
            said = api.response(self.path, headers, body)
            closing.wait(said.wait)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(said.body) + said.cut))
            self.end_headers()
            self.wfile.write(said.body)

        do_GET = do_POST  # noqa: N815  the base's name

        def log_request(self, code: object = "", size: object = "") -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False  # closing waits for them
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield api
        finally:
            closing.set()
            server.shutdown()
            thread.join()
            for error in api.errors:
                raise error


@contextmanager
def nobody_listens() -> Generator[str]:
    """A URL whose port is taken and refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
