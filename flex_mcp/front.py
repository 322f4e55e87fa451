"""The first answer at once: what clients open with, answered while the server still loads.

Importing the SDK takes most of a second. Until that is done, a thread reads what the client sends
and answers it from `front.json`, which `scripts/describe` made of this very server; then the server
takes the streams over. It reads all that was read so far once more, and the answers that were given
are not written again. What does not look quite usual is left to the server, and all that follows it
too, so the two cannot be told apart. Where the description is of other versions, or anything looks
odd, there is no front at all.

Nothing but the standard library is imported here, and of that what starts fast.
"""

import io
import json
import os
import signal
import sys
import threading
from importlib.machinery import PathFinder

from flex_mcp import __version__

TYPE_CHECKING = False  # see `flex_mcp`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from _typeshed import WriteableBuffer

    Results = Mapping[str, Mapping[str, object]]  # by protocol version and method
    Server = Callable[..., None]  # takes stdin and stdout; without them it claims the process's

LONGEST = 65_536  # bytes of a line that is still usual
MOST = 1_048_576  # bytes that are kept until the server is there: no client opens with more
DEEPEST = 100  # brackets in it; parsers differ in how deep they go

# What usual messages hold: text, a type, the members of an object (`?` marks those that may be
# absent, `*?` stands for any name), or in a list the shape of its items. None is anything.
EMPTY: "Mapping[str, Any]" = {}
CLIENT = {
    "name": str,
    "version": str,
    "title?": str,
    "description?": str,
    "websiteUrl?": str,
    "icons?": [{"src": str, "mimeType?": str, "sizes?": [str]}],
}
CAPABILITIES = {
    "roots?": {"listChanged?": bool},
    "sampling?": {"context?": EMPTY, "tools?": EMPTY},
    "elicitation?": {"form?": EMPTY, "url?": EMPTY},
    "experimental?": {"*?": dict},
    "extensions?": {"*?": dict},
}
VERSION = "io.modelcontextprotocol/protocolVersion"
ENVELOPE = {
    VERSION: str,
    "io.modelcontextprotocol/clientCapabilities": CAPABILITIES,
    "io.modelcontextprotocol/clientInfo?": CLIENT,
}
INITIALIZE = {"protocolVersion": str, "capabilities": CAPABILITIES, "clientInfo": CLIENT}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized", "params?": EMPTY}
REQUEST = {"jsonrpc": "2.0", "id": None, "method": str, "params?": dict}


def serve(load: "Callable[[], Server]") -> None:
    """Serve one client on stdin and stdout; `load` brings the server, and takes its time."""
    known, wire = described(), _claimed()
    if wire is None:
        load()()
        return
    if known is None:
        load()(_text(wire[0]), io.TextIOWrapper(wire[1], encoding="utf-8"))
        return
    front = Front(Opening(known), *wire)
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):  # until the server has its own
            signal.signal(number, _leave)
    front.start()
    server = load()
    server(*front.hand_over())


def _text(stdin: io.RawIOBase) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(stdin), encoding="utf-8", errors="replace")


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)  # nothing was opened, and nothing acknowledged that could be lost


def described() -> "Results | None":
    """The results that this very server gives; None where that cannot be said, or is not wanted."""
    variables = os.environ
    if variables.get("FLEX_MCP_FAST_START") == "0":
        return None
    if variables.get("FLEX_MCP_SKILLS", "") not in {"", "0"}:
        return None  # it has more capabilities then
    path = os.path.join(os.path.dirname(__file__), "front.json")
    try:
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
        fits = found["version"] == __version__ and all(
            _installed(*one) for one in found["with"].items()
        )
        return results(found) if fits else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # it is not there, or not what we wrote


def results(description: "Mapping[str, Any]") -> "Results":
    return {
        version: {method: description["results"][index] for method, index in indexes.items()}
        for version, indexes in description["openings"].items()
    }


def _installed(package: str, version: str) -> bool:
    """Whether this is the version that an import will find; `importlib.metadata` starts slowly."""
    spec = PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    folder = os.path.dirname(os.path.dirname(spec.origin))
    return os.path.isdir(os.path.join(folder, f"{package}-{version}.dist-info"))


def _claimed() -> "tuple[io.FileIO, io.BufferedWriter] | None":
    """Stdin and stdout for nobody else: in their place are the null device and stderr.

    None for a terminal, and where some of the three are missing.
    """
    try:
        for descriptor in (0, 1, 2):
            os.fstat(descriptor)
    except OSError:
        return None
    if os.isatty(0) or os.isatty(1):
        return None
    stdin, stdout = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return (
        io.FileIO(stdin, "rb", closefd=False),  # a thread may still read when all else has ended
        io.BufferedWriter(io.FileIO(stdout, "wb", closefd=False)),
    )


class Front:
    """Reads what comes, and answers it as long as the server is not there and nothing is odd."""

    def __init__(self, opening: "Opening", stdin: io.FileIO, stdout: io.BufferedWriter) -> None:
        self._opening, self._stdin, self._stdout = opening, stdin, stdout
        self._thread = threading.Thread(target=self._read, name="front", daemon=True)
        self._lock = threading.Lock()
        self._seen = bytearray()  # all that was read
        self._over = False  # the rest is the server's
        self._ended = False  # the client has said all

    def start(self) -> None:
        self._thread.start()

    def _read(self) -> None:
        start = 0
        while not self._over:
            chunk = self._stdin.read(LONGEST)
            with self._lock:
                self._seen += chunk or b""
                self._ended = chunk == b""
                self._over |= not chunk
                while not self._over and (end := self._seen.find(b"\n", start)) >= 0:
                    line = bytes(self._seen[start:end])
                    self._over = len(line) > LONGEST or not self._answer(line)
                    start = end + 1
                self._over |= len(self._seen) - start > LONGEST or len(self._seen) > MOST

    def _answer(self, line: bytes) -> bool:
        answer = self._opening.answer(line)
        if answer:
            try:
                self._stdout.write(answer + os.linesep.encode())
                self._stdout.flush()
            except BrokenPipeError:
                os._exit(0)  # the client went away before its answer: nobody is left to tell
            except OSError:
                return False
        return answer is not None

    def hand_over(self) -> "tuple[io.TextIOWrapper, io.TextIOWrapper]":
        """The streams for the server, which is there now."""
        with self._lock:
            self._over = True
        return _text(Replay(self)), Rest(self._stdout, self._opening.answered)

    def again(self, start: int, size: int) -> bytes | None:
        """What the client said from there on."""
        if start == len(self._seen):
            self._thread.join()  # it may be in its last read
        if start < len(self._seen) or self._ended:
            return bytes(self._seen[start : start + size])
        return self._stdin.read(size)


class Replay(io.RawIOBase):
    """Stdin from its beginning."""

    def __init__(self, front: Front) -> None:
        self._front, self._at = front, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        view = memoryview(buffer)
        chunk = self._front.again(self._at, len(view))
        if chunk is None:
            return None
        view[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)


class Rest(io.TextIOWrapper):
    """Stdout without the answers that were given."""

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
    """What a client opens with, and what it was answered. Pure."""

    def __init__(self, results: "Results") -> None:
        self._results = results
        self._version: str | None = None  # the client's first request decides it
        self.answered: set[int | str] = set()

    def answer(self, line: bytes) -> bytes | None:
        """The answer to a line, empty if none is due; None if that is the server's business."""
        try:
            message = _parsed(line)
        except (ValueError, RecursionError):
            return None
        if _fits(message, INITIALIZED):
            return b"" if self._handshake else None
        if not _fits(message, REQUEST):
            return None
        return self._answer(message["id"], message["method"], message.get("params", {}))

    def _answer(self, id_: "Any", method: str, params: "dict[str, Any]") -> bytes | None:
        version = self._spoken(method, params)
        result = self._results.get(version or "", {}).get(method)
        if result is None or not _usual(id_) or id_ in self.answered:
            return None
        self._version = version
        self.answered.add(id_)
        answer = {"jsonrpc": "2.0", "id": id_, "result": result}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def _handshake(self) -> bool:
        return self._version is not None and "initialize" in self._results[self._version]

    def _spoken(self, method: str, params: "dict[str, Any]") -> str | None:
        """The protocol version of a request; None if it has none that it may have here."""
        if method == "initialize":
            new = self._version is None and _fits(params, INITIALIZE)
            return params["protocolVersion"] if new else None
        if self._handshake:
            return self._version if _fits(params, {"_meta?": EMPTY}) else None
        if not _fits(params, {"_meta": ENVELOPE}):
            return None
        version = params["_meta"][VERSION]
        known = "server/discover" in self._results.get(version, {})
        return version if known and self._version in {None, version} else None


def _parsed(line: bytes) -> "dict[str, Any]":
    """A line as JSON, where all parsers agree on it.

    Raises:
        ValueError: they may not, or it is no object.
    """
    line = line.removesuffix(b"\r")
    lonely = b"\\ud" in line.lower()  # halves of characters
    if lonely or b"\r" in line or line.count(b"{") + line.count(b"[") > DEEPEST:
        raise ValueError
    message: Any = json.loads(line.decode(), object_pairs_hook=_once, parse_constant=_refused)
    if type(message) is not dict:
        raise ValueError
    return {**message}


def _once(pairs: "list[tuple[str, Any]]") -> "dict[str, Any]":
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError
    return members


def _refused(name: str) -> float:
    raise ValueError(name)


def _usual(id_: object) -> bool:
    if type(id_) is int:
        return 0 <= id_ < 2**53
    return type(id_) is str and id_.isascii()


def _fits(value: "Any", shape: "Any") -> bool:
    """Whether a value has this shape; see above."""
    if shape is None or isinstance(shape, type):
        return shape is None or type(value) is shape
    kind = type(shape).__name__
    if type(value).__name__ != kind:
        return False
    if kind == "str":
        return value == shape
    if kind == "list":
        return all(_fits(item, shape[0]) for item in value)
    needed = {name for name in shape if not name.endswith("?")}
    return needed <= value.keys() and all(
        any(_fits(part, shape[key]) for key in (name, f"{name}?", "*?") if key in shape)
        for name, part in value.items()
    )
