"""What clients send that is no plain JSON-RPC, and what each is answered on every transport."""

from typing import NamedTuple

SEARCH = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":%b}'
PARAMS = b'{"name":"search_experience","arguments":{"query":"%b"}}'
DEEP = b"[" * 300 + b"]" * 300


class Refused(NamedTuple):
    """A message, and the error that answers it."""

    sent: bytes
    id: int | str | None
    code: int
    words: str


def search(id_: int, query: bytes) -> bytes:
    return SEARCH % (id_, PARAMS % query)


REFUSED: dict[str, Refused] = {
    "a raw NUL": Refused(search(1, b"a\0b"), 1, -32700, "control character"),
    "a raw tab": Refused(search(2, b"a\tb"), 2, -32700, "control character"),
    "a raw return": Refused(search(3, b"a\rb"), 3, -32700, "control character"),
    "an escape that is none": Refused(search(4, rb"\x41"), 4, -32700, "invalid escape"),
    "a comma too many": Refused(
        b'{"jsonrpc":"2.0","id":"five","method":"ping",}', "five", -32700, "trailing comma"
    ),
    "300 brackets": Refused(
        b'{"jsonrpc":"2.0","id":6,"method":"ping","params":{"a":%b}}' % DEEP,
        6,
        -32700,
        "recursion limit",
    ),
    "a number of 5,000 digits": Refused(
        b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":%b}}' % (b"9" * 5_000),
        7,
        -32700,
        "number out of range",
    ),
    "the id at the end": Refused(
        b'{"method":"ping","params":{"a":"\1"},"jsonrpc":"2.0","id":8}', 8, -32700, "control"
    ),
    "the id between others": Refused(
        b'{"params":{"a":"\1"},"id":18,"jsonrpc":"2.0","method":"ping"}', 18, -32700, "control"
    ),
    "an id that another hides": Refused(
        b'{"params":{"id":9,},"jsonrpc":"2.0","method":"ping"}', None, -32700, "trailing comma"
    ),
    "no JSON at all": Refused(b"hello", None, -32700, "expected value"),
    "a batch": Refused(
        b'[{"jsonrpc":"2.0","id":10,"method":"ping"}]', None, -32600, "send its messages one by one"
    ),
    "a number": Refused(b"3", None, -32600, "no JSON object"),
    "nothing": Refused(b"{}", None, -32600, 'jsonrpc must be "2.0", method must be a text'),
    "a fractional id": Refused(
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, -32600, "id must be a whole number"
    ),
    "a null id": Refused(
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600, "id must be a whole number"
    ),
    "an id that is true": Refused(
        b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None, -32600, "id must be a whole number"
    ),
    "params that are a list": Refused(
        b'{"jsonrpc":"2.0","id":14,"method":"ping","params":[]}', 14, -32600, "be an object"
    ),
    "no method": Refused(b'{"jsonrpc":"2.0","id":15}', 15, -32600, "method must be a text"),
    "all wrong at once": Refused(
        b'{"jsonrpc":2,"id":16,"method":5,"params":"x"}',
        16,
        -32600,
        'jsonrpc must be "2.0", method must be a text, params must be an object',
    ),
    "an answer to nothing that was asked": Refused(
        b'{"jsonrpc":"2.0","id":null,"result":[]}', None, -32600, "no JSON-RPC response"
    ),
}

# A search each, which is answered as any other.
TAKEN: dict[str, bytes] = {
    "half of a pair": search(21, rb"a \ud83d b"),
    "the low half": search(22, rb"\uDE00"),
    "a pair the wrong way round": search(23, rb"\ude00\ud83d"),
    "a whole pair, and one that is escaped": search(24, rb"\ud83d\ude00 \\ud83d"),
    "a mark first": b"\xef\xbb\xbf" + search(25, b"x"),
    "no UTF-8": search(26, b"a\xffb"),
    "half of a pair in bytes": search(27, b"a\xed\xa0\xbdb"),
    "a progress token of null": SEARCH
    % (28, (PARAMS % b"x").replace(b"}}", b'},"_meta":{"progressToken":null}}')),
}
