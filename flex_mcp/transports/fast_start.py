"""Fast start over stdio: a client's opening requests, answered while the server is still imported.

Importing the SDK takes most of a second. A thread reads what the client sends, answers whole, plain
lines from the description, which the live server serves too, and passes everything on to the
server. The first line that is anything else, and all that follow it, only the server answers; of
the lines before, what it says is not written again.

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
    from typing import Any, BinaryIO

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
ENVELOPE = {"_meta": {VERSION: str, CLIENT_CAPABILITIES: CAPABILITIES, CLIENT_INFO: CLIENT}}
NOTIFICATION = {"method": "notifications/initialized"}
INITIALIZED: "list[dict[str, Any]]" = [NOTIFICATION, {**NOTIFICATION, "params": {}}]
REQUIRED = {*INITIALIZE, "_meta", VERSION, CLIENT_CAPABILITIES, "name", "version"}


def serve(load: "Callable[[], Server]") -> None:
    """Serve one client on stdin and stdout; `load` brings the server, and takes its time."""
    claimed = _claimed() if _is_wanted() else None
    if claimed is None:
        load()()
        return
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):  # until the server has its own
            signal.signal(number, _leave)
    stdin, stdout = claimed
    opening = Opening(description())
    passed_on, rest = os.pipe()
    threading.Thread(target=_answer, args=(opening, stdin, stdout, rest), daemon=True).start()
    server = load()
    opening.over = True  # it answers for itself
    server(
        os.fdopen(passed_on, encoding="utf-8", closefd=False),  # a thread may still read at the end
        Remainder(stdout, opening.answered),
    )


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)  # nothing was opened, and nothing acknowledged that could be lost


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


def _answer(opening: "Opening", stdin: int, stdout: "BinaryIO", rest: int) -> None:
    """Answer lines until one is not plain or the server is there, and pass on all."""
    line, plain = b"", True
    try:
        while chunk := os.read(stdin, LONGEST):
            if plain and not opening.over:
                *lines, line = (line + chunk).split(b"\n")
                plain = len(line) <= LONGEST and all(
                    _say(opening.answer(one), stdout) for one in lines
                )
            while chunk:  # after its answers: the server's own are dropped then
                chunk = chunk[os.write(rest, chunk) :]
    finally:
        os.close(rest)


def _say(answer: bytes | None, stdout: "BinaryIO") -> bool:
    if answer:
        try:
            stdout.write(answer + os.linesep.encode())
            stdout.flush()
        except OSError:
            os._exit(0)  # the client went away before its answer: nobody is left to tell
    return answer is not None


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
        self.over = False

    def answer(self, line: bytes) -> bytes | None:
        """The answer to a line, empty if none is due; None if that is the server's business."""
        message = _plain(line)
        if message.pop("jsonrpc", None) != "2.0":
            return None
        if message in INITIALIZED:
            return b"" if self._handshake else None
        if not {"id", "method"} <= message.keys() <= {"id", "method", "params"}:
            return None
        id_, method = message["id"], message["method"]
        if type(method) is not str or type(id_) not in {int, str} or id_ in self.answered:
            return None
        version = self._version_of(method, message.get("params", {}))
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
            new = self._version is None and _is_plain(params, INITIALIZE)
            return params["protocolVersion"] if new else None
        if self._handshake:
            return self._version if params in ({}, {"_meta": {}}) else None
        if not _is_plain(params, ENVELOPE):
            return None
        version = params["_meta"][VERSION]
        stateless = "server/discover" in self._results.get(version, {})
        return version if stateless and self._version in {None, version} else None


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
        return type(value) is kind
    if kind is None or type(value).__name__ != "dict" or not value.keys() >= REQUIRED & kind.keys():
        return False
    return all(_is_plain(part, kind.get(name, kind.get("*"))) for name, part in value.items())
