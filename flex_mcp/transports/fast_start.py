"""Fast start over stdio: a client's opening requests, answered while the server is still imported.

Importing the SDK takes most of a second. Until that is done, a thread reads what the client sends
and answers whole, plain lines from the description, which the live server serves too. The first
line that is anything else, and all that follow it, are the server's. It reads what was read so far
once more, and the answers that were given are not written again.

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
    from collections.abc import Callable, Collection
    from typing import Any

    from _typeshed import WriteableBuffer

    from flex_mcp.server.description import Results

    Server = Callable[..., None]  # takes stdin and stdout; without them it claims the process's

LONGEST = 65_536  # bytes of a plain line
DEEPEST = 100  # brackets in it; parsers differ in how deep they go

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
VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
NOTIFICATION = "notifications/initialized"
INITIALIZED: "list[dict[str, Any]]" = [
    {"method": NOTIFICATION},
    {"method": NOTIFICATION, "params": {}},
]
ENVELOPE = {VERSION: str, CLIENT_CAPABILITIES: CAPABILITIES, CLIENT_INFO: CLIENT}


def serve(load: "Callable[[], Server]") -> None:
    """Serve one client on stdin and stdout; `load` brings the server, and takes its time."""
    streams = _claimed() if _is_wanted() else None
    if streams is None:
        load()()
        return
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):  # until the server has its own
            signal.signal(number, _leave)
    start = FastStart(*streams)
    server = load()
    server(*start.hand_over())


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)  # nothing was opened, and nothing acknowledged that could be lost


def _is_wanted() -> bool:
    variables = os.environ
    skills = variables.get("FLEX_MCP_SKILLS", "") not in {"", "0"}  # more capabilities then
    return variables.get("FLEX_MCP_FAST_START") != "0" and not skills


def _claimed() -> "tuple[io.FileIO, io.BufferedWriter] | None":
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
    return (
        io.FileIO(stdin, "rb", closefd=False),  # a thread may still read when all else has ended
        io.BufferedWriter(io.FileIO(stdout, "wb", closefd=False)),
    )


class FastStart:
    """A thread that reads and answers until the server is there or a line is not plain."""

    def __init__(self, stdin: io.FileIO, stdout: io.BufferedWriter) -> None:
        self._opening, self._stdin, self._stdout = Opening(description()), stdin, stdout
        self._lock = threading.Lock()
        self._read = bytearray()  # all that was read
        self._over = False  # the rest is the server's
        self._thread = threading.Thread(target=self._serve, name="fast start", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        line = b""
        while not self._over and (chunk := self._stdin.read(LONGEST)):
            with self._lock:
                self._read += chunk
                *lines, line = (line + chunk).split(b"\n")
                plain = not self._over and len(line) <= LONGEST and all(map(self._answer, lines))
                self._over = not plain

    def _answer(self, line: bytes) -> bool:
        answer = self._opening.answer(line)
        if answer:
            try:
                self._stdout.write(answer + os.linesep.encode())
                self._stdout.flush()
            except OSError:
                os._exit(0)  # the client went away before its answer: nobody is left to tell
        return answer is not None

    def hand_over(self) -> "tuple[io.TextIOWrapper, io.TextIOWrapper]":
        """Stdin from its beginning and stdout, for the server, which is there now."""
        with self._lock:
            self._over = True
        stdin = io.BufferedReader(Replay(self.read))
        return (
            io.TextIOWrapper(stdin, encoding="utf-8", errors="replace"),
            Remainder(self._stdout, self._opening.answered),
        )

    def read(self, start: int, size: int) -> bytes | None:
        """What the client sent from there on; empty at its end."""
        if start == len(self._read):
            self._thread.join()  # it may be in its last read
        return bytes(self._read[start : start + size]) or self._stdin.read(size)


class Replay(io.RawIOBase):
    """Stdin from its beginning; `read` gives bytes from a place on."""

    def __init__(self, read: "Callable[[int, int], bytes | None]") -> None:
        self._read, self._at = read, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        view = memoryview(buffer)
        chunk = self._read(self._at, len(view))
        if chunk is None:
            return None
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


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

    def __init__(self, results: "Results") -> None:
        self._results = results
        self._version: str | None = None  # the client's first request decides it
        self.answered: set[int | str] = set()

    def answer(self, line: bytes) -> bytes | None:
        """The answer to a line, empty if none is due; None if that is the server's business."""
        message = _plain(line)
        if message.pop("jsonrpc", None) != "2.0":
            return None
        if message in INITIALIZED:
            return b"" if self._handshake else None
        if not {"id", "method"} <= message.keys() <= {"id", "method", "params"}:
            return None
        return self._result(message["id"], message["method"], message.get("params", {}))

    def _result(self, id_: "Any", method: "Any", params: "Any") -> bytes | None:
        if type(method) is not str or type(id_) not in {int, str} or id_ in self.answered:
            return None
        version = self._version_of(method, params)
        result = self._results.get(version or "", {}).get(method)
        if result is None:
            return None
        self._version = version
        self.answered.add(id_)
        answer = {"jsonrpc": "2.0", "id": id_, "result": result}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def _handshake(self) -> bool:
        return self._version is not None and "initialize" in self._results[self._version]

    def _version_of(self, method: str, params: "Any") -> str | None:
        """The protocol version of a plain request; None for any other."""
        if method == "initialize":
            new = self._version is None and _is_plain(params, INITIALIZE, INITIALIZE)
            return params["protocolVersion"] if new and _names(params["clientInfo"]) else None
        if self._handshake:
            return self._version if params in ({}, {"_meta": {}}) else None
        if not _is_plain(params, {"_meta": ENVELOPE}, {"_meta"}):
            return None
        meta = params["_meta"]
        if not meta.keys() >= {VERSION, CLIENT_CAPABILITIES} or not _names(meta.get(CLIENT_INFO)):
            return None
        stateless = "server/discover" in self._results.get(meta[VERSION], {})
        return meta[VERSION] if stateless and self._version in {None, meta[VERSION]} else None


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


def _names(client: "Any") -> bool:
    """Whether a client, which may say nothing of itself, gives its name and version."""
    return client is None or {"name", "version"} <= client.keys()


def _is_plain(value: "Any", kind: "Any", required: "Collection[str]" = ()) -> bool:
    """Whether a value is of a type, or an object of members that are; see above."""
    if type(kind) is type:
        return type(value) is kind
    if type(value).__name__ != "dict" or not value.keys() >= set(required):
        return False
    return all(
        (name in kind or "*" in kind) and _is_plain(part, kind.get(name, kind.get("*")))
        for name, part in value.items()
    )
