"""Fast start over stdio: a client's opening requests and first searches, without the SDK.

Importing the SDK takes most of a second, and half of a process's memory. A thread reads what the
client sends and answers whole, plain lines: from the description, which the live server serves too,
and usual searches by the library itself. All but the searches is passed on to the server, which is
loaded when a line comes that is anything else, or many have come, or the client is silent. From
then on only the server answers; of the lines before, what it says is not written again.

Nothing but the standard library is imported here, and of that what starts fast.
"""

import io
import json
import os
import signal
import sys
import threading

from flex_mcp.server.description import description

TYPE_CHECKING = False  # see `flex_mcp`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, Protocol

    from flex_mcp.server.description import Results

    Server = Callable[..., None]  # takes stdin and stdout; without them it claims the process's

    class Process(Protocol):
        """What is loaded when it is needed."""

        def call(
            self, tool: str, arguments: Any, name: str, version: str, /, *, roots: bool
        ) -> tuple[str, Any] | None:
            """Text and content of a tool's usual call; None for any other.

            The client is named; `roots` says whether it offers its roots.
            """
            ...

        def server(self) -> Server: ...

        def close(self) -> None:
            """End what the calls have opened."""
            ...

    Call = Callable[..., tuple[str, Any] | None]

LONGEST = 65_536  # bytes of a plain line
DEEPEST = 100  # brackets in it; parsers differ in how deep they go
SILENCE = 1.0  # seconds without a line, or two: then the server is loaded for what may come
KEPT = 2_048  # bytes that wait for the server: the system's pipe holds 4 KiB or more
ENDS = signal.SIGTERM, signal.SIGINT
PATIENCE = 2.5  # seconds that closing the library may take where a signal ends the process

# What plain objects hold: members of these names and types; `*` stands for any name.
CAPABILITIES: "dict[str, Any]" = {
    "roots": {"listChanged": bool},
    "sampling": {"context": {}, "tools": {}},
    "elicitation": {"form": {}, "url": {}},
    "experimental": {"*": dict},
    "extensions": {"*": dict},
}
CLIENT = dict.fromkeys(("name", "version", "title", "description", "websiteUrl"), str)
INITIALIZE = {"protocolVersion": str, "capabilities": CAPABILITIES, "clientInfo": CLIENT}
PROTOCOL = "io.modelcontextprotocol/"
VERSION = f"{PROTOCOL}protocolVersion"
CLIENT_CAPABILITIES = f"{PROTOCOL}clientCapabilities"
CLIENT_INFO = f"{PROTOCOL}clientInfo"
ENVELOPE = {"_meta": {VERSION: str, CLIENT_CAPABILITIES: CAPABILITIES, CLIENT_INFO: CLIENT}}
CALL = {"name": str, "arguments": {"*": object}, "_meta": {"*": object}}
NOTIFICATION = {"method": "notifications/initialized"}
INITIALIZED: "list[dict[str, Any]]" = [NOTIFICATION, {**NOTIFICATION, "params": {}}]
REQUIRED = {*INITIALIZE, "_meta", "arguments", VERSION, CLIENT_CAPABILITIES, "name", "version"}


def serve(process: "Process") -> None:
    """Serve one client on stdin and stdout."""
    claimed = _claimed() if _is_wanted() else None
    if claimed is None:
        process.server()()
        return
    if sys.platform != "win32":
        for number in ENDS:  # until the server has its own
            signal.signal(number, lambda _number, _frame: _leave(process))
    stdin, stdout = claimed
    opening = Opening(description(), process.call)
    passed_on, rest = os.pipe()
    front = Front(opening, stdin, stdout, rest, lambda: _leave(process))
    threading.Thread(target=front.answer, daemon=True).start()
    if front.needs_no_server():
        _leave(process)
    server = process.server()
    opening.over = True  # it answers for itself
    server(
        os.fdopen(passed_on, encoding="utf-8", closefd=False),  # a thread may still read at the end
        Remainder(stdout, opening.answered),
    )


def is_for_a_person() -> bool:
    """Whether no client started us: somebody types at a terminal, or a shell completes words."""
    return "_FLEX_MCP_COMPLETE" in os.environ or os.isatty(0)


def _leave(process: "Process") -> None:
    """End the process: what was acknowledged is stored by then, unless others hold the file."""
    if threading.current_thread() is threading.main_thread() and sys.platform != "win32":
        for number in ENDS:  # it ends already: one more must not cut that short
            signal.signal(number, signal.SIG_IGN)
    end = threading.Timer(PATIENCE, os._exit, (0,))
    end.daemon = True
    end.start()
    process.close()
    os._exit(0)


def _is_wanted() -> bool:
    variables = os.environ
    skills = variables.get("FLEX_MCP_SKILLS", "") not in {"", "0"}  # more capabilities then
    return variables.get("FLEX_MCP_FAST_START") != "0" and not skills


def _claimed() -> "tuple[int, io.BufferedWriter] | None":
    """Stdin and stdout for nobody else: in their place are the null device and stderr.

    None for a terminal, and where some of the three are missing.
    """
    try:
        os.fstat(2)
        stdin, stdout = os.dup(0), os.dup(1)
    except OSError:
        return None
    if os.isatty(stdin) or os.isatty(stdout):
        return None
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return stdin, io.BufferedWriter(io.FileIO(stdout, "wb", closefd=False))


class Front:
    """Reads what a client sends: answers plain lines, passes on what the server has to see."""

    def __init__(
        self,
        opening: "Opening",
        stdin: int,
        stdout: "BinaryIO",
        rest: int,
        leave: "Callable[[], None]",
    ) -> None:
        self._opening = opening
        self._leave = leave
        self._stdin, self._stdout, self._rest = stdin, stdout, rest
        self._line = b""  # not whole yet
        self._plain = True
        self._ended = False
        self._heard = 0  # chunks
        self._passed = 0  # bytes
        self._busy = False
        self._settled = threading.Event()  # the server is needed, or the client has gone

    def needs_no_server(self) -> bool:
        """Wait until the server is needed; True where the client went away before."""
        heard = -1
        while not self._settled.wait(SILENCE):
            if heard == self._heard and not self._busy:
                return False
            heard = self._heard
        return self._ended and self._plain and not self._line

    def answer(self) -> None:
        """Answer lines until one is not plain or the server is there, and pass on all the rest."""
        try:
            while chunk := os.read(self._stdin, LONGEST):
                self._heard, self._busy = self._heard + 1, True
                self._pass(self._answered(chunk) if self._plain else chunk)
                self._busy = False
            self._pass(self._line)
            self._ended = True
        finally:
            self._settled.set()
            os.close(self._rest)

    def _answered(self, chunk: bytes) -> bytes:
        """What of a chunk, and of what was kept before, is left to the server."""
        *lines, self._line = (self._line + chunk).split(b"\n")
        while lines and (answer := self._opening.answer(lines[0])) is not None:
            self._say(answer)
            line = lines.pop(0) + b"\n"
            if not self._opening.is_done:  # before the next, so that the order stays
                self._pass(line)
        if not lines and len(self._line) <= LONGEST:
            return b""
        self._plain = False
        kept, self._line = self._line, b""
        return b"\n".join([*lines, kept])

    def _pass(self, chunk: bytes) -> None:
        self._passed += len(chunk)
        if not self._plain or self._passed > KEPT:
            self._settled.set()
        while chunk:
            chunk = chunk[os.write(self._rest, chunk) :]

    def _say(self, answer: bytes) -> None:
        try:
            if answer:
                self._stdout.write(answer + os.linesep.encode())
                self._stdout.flush()
        except OSError:
            self._leave()  # the client went away before its answer: nobody is left to tell


class Remainder(io.TextIOWrapper):
    """Stdout without the answers that were given already."""

    def __init__(self, stdout: io.BufferedWriter, answered: "set[int | str]") -> None:
        super().__init__(stdout, encoding="utf-8")
        self._answered = answered

    def write(self, text: str, /) -> int:
        if self._answered:  # the SDK writes a message at a time
            message: dict[str, Any] = json.loads(text)
            if "method" not in message and message["id"] in self._answered:
                self._answered.remove(message["id"])
                return len(text)
        return super().write(text)


class Opening:
    """A client's first messages, and their answers. Pure: lines in, lines out."""

    def __init__(self, results: "Results", call: "Call | None" = None) -> None:
        self._results = results
        self._call = call
        self._version: str | None = None  # the client's first request decides it
        self._client: dict[str, str] = {}  # by handshake
        self._offers: dict[str, Any] = {}
        self._initialized = False
        self._done: set[int | str] = set()
        self.answered: set[int | str] = set()  # of what the server sees too
        self.is_done = False  # whether the server need not see the last line
        self.over = False  # the server answers now

    def answer(self, line: bytes) -> bytes | None:
        """The answer to a line, empty if none is due; None if that is the server's business."""
        self.is_done = False
        message = {} if self.over else _plain(line)
        if message.pop("jsonrpc", None) != "2.0":
            return None
        if message in INITIALIZED:
            self._initialized = self._handshake
            return b"" if self._handshake else None
        if not _is_request(message) or message["id"] in self.answered | self._done:
            return None
        id_, method, params = message["id"], message["method"], message.get("params", {})
        if method == "tools/call":
            return self._called(id_, params)
        return self._described(id_, method, params)

    def _described(self, id_: int | str, method: str, params: "Any") -> bytes | None:
        """The answer that the description holds."""
        version = self._version_of(method, params)
        result = self._results.get(version or "", {}).get(method)
        if result is None:
            return None
        self._version = version
        self._client = params.get("clientInfo", self._client)
        self._offers = params.get("capabilities", self._offers)
        self.answered.add(id_)
        return _answer(id_, result)

    def _called(self, id_: int | str, params: "Any") -> bytes | None:
        """The answer to a tool's usual call."""
        params = {"_meta": {}, **params} if type(params).__name__ == "dict" else {}
        if not _is_plain(params, CALL):
            return None
        version, client = self._caller(params["_meta"])
        frame = self._results.get(version or "", {}).get("tools/call")
        if frame is None or self._call is None or not client:
            return None
        try:
            found = self._call(
                params["name"],
                params["arguments"],
                client["name"],
                client["version"],
                roots="roots" in params["_meta"].get(CLIENT_CAPABILITIES, self._offers),
            )
        except Exception:  # noqa: BLE001  the server meets it too, and says so
            found = None
        if found is None:
            return None
        self._version, self.is_done = version, True
        self._done.add(id_)
        text, content = found
        content_ = {"content": [{"type": "text", "text": text}], "structuredContent": content}
        return _answer(id_, {**frame, **content_})

    def _caller(self, meta: "dict[str, Any]") -> "tuple[str | None, dict[str, str]]":
        """The protocol version of a call and its client; empty where they are not plain."""
        own = {name: value for name, value in meta.items() if name.startswith(PROTOCOL)}
        if self._handshake:
            return self._version, self._client if self._initialized and not own else {}
        version = self._version_of("tools/call", {"_meta": own})
        return version, own.get(CLIENT_INFO, {})

    @property
    def _handshake(self) -> bool:
        return self._version is not None and "initialize" in self._results[self._version]

    def _version_of(self, method: str, params: "Any") -> str | None:
        """The protocol version of a plain request; None for any other."""
        if method == "initialize":
            new = self._version is None and _is_plain(params, INITIALIZE)
            return params["protocolVersion"] if new else None
        if self._handshake:
            return self._version if params in ({}, {"_meta": {}}) else None
        if not _is_plain(params, ENVELOPE):
            return None
        version = params["_meta"][VERSION]
        stateless = "server/discover" in self._results.get(version, {})
        return version if stateless and self._version in {None, version} else None


def _is_request(message: "dict[str, Any]") -> bool:
    if not {"id", "method"} <= message.keys() <= {"id", "method", "params"}:
        return False
    return type(message["method"]) is str and type(message["id"]) in {int, str}


def _answer(id_: int | str, result: "Any") -> bytes:
    answer = {"jsonrpc": "2.0", "id": id_, "result": result}
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(line: bytes) -> "dict[str, Any]":
    """The object of a line that all parsers read alike; an empty one for any other."""
    line = line.removesuffix(b"\r")
    if len(line) > LONGEST or line.count(b"{") + line.count(b"[") > DEEPEST:
        return {}
    if b"\\u" in line or b"\r" in line:
        return {}
    try:
        message: dict[str, Any] | object = json.loads(line.decode())
    except (ValueError, RecursionError):
        return {}
    return {**message} if isinstance(message, dict) else {}


def _is_plain(value: "Any", kind: "Any") -> bool:
    """Whether a value is of a type, or an object of members that are; see above."""
    if type(kind) is type:
        return kind is object or type(value) is kind
    if kind is None or type(value).__name__ != "dict" or not value.keys() >= REQUIRED & kind.keys():
        return False
    return all(_is_plain(part, kind.get(name, kind.get("*"))) for name, part in value.items())
