"""The redactor: secrets out of texts and values, each replaced by `[redacted:KIND]` and counted.

What stands between `<private>` and `</private>` goes in every mode, an unclosed one to the end of
its text. With `on`, so do secrets that are known by their form (`known`), by the name beside them
(`named`) or by their place (`placed`). `strict` also takes e-mail addresses, and whatever looks
random and is long, checksums among it. Doing it twice changes nothing.

No detector library is asked: `detect-secrets` rests since 2024, takes quadratic time on some texts
and imports an HTTP client; Kingfisher brings 45 MB, 0.4 s and 40 MB of memory to every process, and
knows neither passwords nor connection strings without their context.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from annotated_types import Len

from flex_mcp.errors import InputError, SettingError
from flex_mcp.models import WHEN_LIMIT, cut_at_word
from flex_mcp.safety.redaction.spans import Span, is_random, merged
from flex_mcp.settings import Redacting

T = TypeVar("T")

PRIVATE = re.compile(
    r"(?<!/\*)<\s*+(/?)\s*+private(?=[\s>]|/\s*+>|\Z)(?!\s*+/>)(?:\s*+>)?", re.IGNORECASE
)
MARK = re.compile(r"\[redacted:[a-z0-9-]++\]")
EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}+@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
RUN = re.compile(r"[A-Za-z0-9+/_-]{24,}+={0,2}")
OWN = re.compile(
    r"(?:(?:hash|key):)?[0-9a-f]{64}(?::\d{1,9})?(?: of t_[a-z2-7]{12})?|[betr]_[a-z2-7]{12}"
)
JSON_FIELDS = frozenset({"json", "document"})  # a text that must stay JSON
COOKIES = frozenset({"cookie", "set-cookie"})  # keys of headers
ROUNDS = 8  # until nothing is left: what is taken out may bare another one
SAMPLE = 256  # characters of a run that tell whether it is random


def redact(text: str, mode: Redacting = Redacting.ON) -> tuple[str, int]:
    """The text without its secrets, and how many they were."""
    total = 0
    for _ in range(ROUNDS):
        spans = find_secrets(text, mode)
        if not spans:
            break
        pieces: list[str] = []
        end = 0
        for span in spans:
            pieces += text[end : span.start], f"[redacted:{span.kind}]"
            end = span.end
        text = "".join((*pieces, text[end:]))
        total += len(spans)
    return text, total


def find_secrets(text: str, mode: Redacting = Redacting.ON) -> list[Span]:
    """Where the secrets of a text are, in order."""
    return merged(_spans(text, mode))


def _spans(text: str, mode: Redacting) -> Iterator[Span]:
    """What is to go; a mark that stands there already stays."""
    if "<" in text:
        yield from _private(text)
    if mode is Redacting.OFF:
        return
    from flex_mcp.safety.redaction import known, named, placed

    spans = [*known.secrets(text), *placed.secrets(text), *named.secrets(text)]
    if mode is Redacting.STRICT:
        spans += _unnamed(text)
    marks = [mark.span() for mark in MARK.finditer(text)] if "[redacted:" in text else []
    for span in spans:
        if not any(start < span.end and span.start < end for start, end in marks):
            yield span


def spread_private(texts: Sequence[str]) -> list[str]:
    """The same texts, where what is private from one on until a later one is so in each."""
    closing = [place for place, text in enumerate(texts) if _depth(text) < 0]
    depth, made = 0, list[str]()
    for place, text in enumerate(texts):
        made.append("<private>" * depth + text)
        is_closed = bool(closing) and place < closing[-1]
        depth = max(0, _depth(made[-1])) if is_closed else 0
    return made


def _depth(text: str) -> int:
    """How many tags are open at the end of a text; negative where one closes what is not open."""
    depth, least = 0, 0
    for tag in PRIVATE.finditer(text):
        depth += -1 if tag[1] else 1
        least = min(least, depth)
    return least if least < 0 else depth


def _private(text: str) -> Iterator[Span]:
    """What is between the tags. One in the middle of a word, never closed, is code."""
    tags = list(PRIVATE.finditer(text))
    last = max((tag.start() for tag in tags if tag[1]), default=-1)
    depth, begin = 0, 0
    for tag in tags:
        if tag.start() > last and re.match(r"\w", text[tag.start() - 1 : tag.start()]):
            continue
        if not tag[1]:
            begin = tag.start() if depth == 0 else begin
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                yield Span(begin, tag.end(), "private")
    if depth:
        yield Span(begin, len(text), "private")


def _unnamed(text: str) -> Iterator[Span]:
    """What only the strict mode takes."""
    if "@" in text:
        yield from (Span(*one.span(), "email") for one in EMAIL.finditer(text))
    for run in RUN.finditer(text):
        if is_random(run[0][:SAMPLE]):
            yield Span(*run.span(), "high-entropy")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes the secrets out of values.

    Args:
        mode: what goes.
        refusal: why nothing may be stored at all, since the mode that is set is none.
    """

    mode: Redacting = Redacting.ON
    refusal: str = ""

    def check(self) -> None:
        """Whether it can be done.

        Raises:
            SettingError: the mode is none.
        """
        if self.refusal:
            raise SettingError(self.refusal)

    def clean(self, value: T) -> tuple[T, int]:
        """The value, its texts without secrets, and how many they were.

        Frozen dataclasses, tuples, lists and mappings are walked; one without a secret is returned
        as it is. Our own ids and hashes are no secrets.

        Raises:
            SettingError: the mode is none.
            InputError: it is nested without end.
        """
        self.check()
        try:
            return _walked(value, self.mode)
        except RecursionError as error:
            raise InputError("it is nested too deep: send flatter lists and objects") from error

    def value(self, value: T) -> T:
        """As `clean`, where nobody asks how many."""
        return self.clean(value)[0]


def redaction_note(count: int) -> str:
    """How many secrets were taken out, as a sentence without its end."""
    return "1 secret was redacted" if count == 1 else f"{count} secrets were redacted"


def _walked(value: Any, mode: Redacting) -> tuple[Any, int]:
    if type(value) is str:  # not an enum, which is a str too
        return (value, 0) if OWN.fullmatch(value) else redact(value, mode)
    if isinstance(value, Mapping):
        return _mapping(cast("Mapping[Any, Any]", value), mode)
    if isinstance(value, (tuple, list)):
        items = cast("tuple[Any, ...] | list[Any]", value)
        walked = [_walked(item, mode) for item in items]
        count = sum(found for _, found in walked)
        return (type(items)(item for item, _ in walked), count) if count else (items, 0)
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, mode)
    return value, 0


def _mapping(value: Mapping[Any, Any], mode: Redacting) -> tuple[Any, int]:
    """Its keys too; a key may be the name that makes its value a secret."""
    total, clean = 0, dict[Any, Any]()
    for key, item in value.items():
        said, in_key = _walked(key, mode)
        kept, in_item = _walked(item, mode)
        name = _name(value, key)
        if type(name) is str and not in_item and mode is not Redacting.OFF:
            kept, in_item = _keyed(name, kept)
        clean[said] = kept
        total += in_key + in_item
    return (clean, total) if total else (value, 0)


def _name(value: Mapping[Any, Any], key: Any) -> Any:
    """What names the item of a key: the key, or in {"name": …, "value": …} the other item."""
    if key not in {"value", "Value"}:
        return key
    return next((value[other] for other in ("name", "Name", "key", "Key") if other in value), key)


def _keyed(key: str, item: Any) -> tuple[Any, int]:
    """An item without what its key makes a secret; cookies come as a list, too."""
    from flex_mcp.safety.redaction import named

    is_cookie = key.lower() in COOKIES
    if is_cookie and isinstance(item, (list, tuple)):
        items = cast("Sequence[Any]", item)
        walked = [_keyed(key, one) for one in items]
        count = sum(found for _, found in walked)
        return ([one for one, _ in walked], count) if count else (items, 0)
    if type(item) is not str or MARK.search(item):
        return item, 0
    if is_cookie:
        text, count = redact(f"{key}:{item}")
        return text[len(key) + 1 :], count
    name = named.named(key)
    given = named.Given(item, 0, "assign", quoted=True)
    return (f"[redacted:{name.kind}]", 1) if name and given.is_secret(name) else (item, 0)


def _dataclass(value: Any, mode: Redacting) -> tuple[Any, int]:
    total, changed = 0, dict[str, Any]()
    kind = cast("type[Any]", value.__class__)
    for field in fields(value):
        walk = _json if field.name in JSON_FIELDS else _walked
        clean, count = walk(getattr(value, field.name), mode)
        if count:
            changed[field.name] = _fitted(clean, _limits(kind).get(field.name))
            total += count
    return (replace(value, **changed), total) if total else (value, 0)


def _fitted(clean: Any, limit: int | None) -> Any:
    """A mark may be longer than its secret: a text keeps to the limit of its field all the same."""
    match clean:
        case str() if limit is not None:
            return cut_at_word(clean, limit)
        case tuple():
            return tuple(_fitted(item, limit) for item in cast("tuple[Any, ...]", clean))
        case _:
            return clean


@functools.cache
def _limits(kind: type) -> dict[str, int]:
    """The most characters of a dataclass's short texts, by field; a long one is never cut here."""
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError:  # a type of ours that only the type checker imports: it holds no text
        return {}
    found = {name: _limit(hint) for name, hint in hints.items()}
    return {name: limit for name, limit in found.items() if limit and limit <= WHEN_LIMIT}


def _limit(hint: Any, most: int | None = None) -> int | None:
    if hint is str:
        return most
    parts = get_args(hint)
    if get_origin(hint) is Annotated:
        lengths = (mark.max_length for mark in parts[1:] if isinstance(mark, Len))
        return _limit(parts[0], next(lengths, most))
    if get_origin(hint) is tuple:
        return _limit(parts[0])  # the length of the tuple is another matter
    return next((limit for part in parts if (limit := _limit(part, most)) is not None), None)


def _json(value: Any, mode: Redacting) -> tuple[Any, int]:
    """A text of JSON: its strings without secrets; it is written anew only where it had one."""
    try:
        content = json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return _walked(value, mode)
    clean, count = _walked(content, mode)
    return (json.dumps(clean, ensure_ascii=False), count) if count else (value, 0)
