"""Does a lesson carry orders to the model that reads it? Pure: texts in, a score and reasons out.

Lessons come from strangers and are read by models. What looks like an order to the reader, rather
than advice on the work, is held back until a person has looked at it. Text is first made plain:
hidden characters, look-alike letters, spaced and digit-for-letter spelling, encodings. What that
uncovers counts like the rest, and the hiding counts too. Time grows with the text.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from flex_mcp.safety.quoting import FLAG, named
from flex_mcp.safety.wording import worded

OWN, OUTSIDE = 0.7, 0.5  # held back from this score on: lessons of one's own work, and from outside
REASONS = 3  # told; the heaviest ones
DEPTH = 2  # an encoding inside another
INSIDE = 0.4  # the score from which on it matters that an order is encoded or not rendered

HIDING = "It hides characters from a person who reads it"
ENCODED = "It holds orders in an encoding"
UNRENDERED = "It hides text from a person who reads it rendered"
ORDERING = "It is worded like orders to the model that reads it"

TAGS = re.compile("[\U000e0020-\U000e007e]{1,4000}")
SELECTORS = re.compile("[\U000e0100-\U000e01ef]{3}|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2}")
ZERO_WIDTH = "\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u034f\u3164\u115f\u1160"
INVISIBLE_RUN = re.compile(f"[{ZERO_WIDTH}]{{4}}")
INSIDE_WORD = re.compile(f"(?<=[a-zA-Z])[{ZERO_WIDTH}](?=[a-zA-Z])")
SOFT = re.compile("(?<=[a-zA-Z])\u00ad(?=[a-zA-Z])")
OVERRIDE = re.compile("[\u202d\u202e]")
DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
COMBINING = re.compile("(?<=[a-z])[\u0300-\u036f]{1,50}")
SEPARATORS = str.maketrans({"\u2028": "\n", "\u2029": "\n\n", "\x85": "\n", "\u2019": "'"})
CONFUSED = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0458\u0455\u04bb\u0501\u051b\u0475\u0432"
    "\u043a\u043c\u043d\u0442\u03bf\u03b1\u03b5\u03b9\u03bd\u03c1\u03c4\u03c5\u03ba",
    "aeopcxyijshdwvbkmhtoaeivptuk",
)
MIXED = re.compile(r"[a-z\u0370-\u03ff\u0400-\u052f]{3,60}")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2}){4,}")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")
BASE32 = re.compile(r"[A-Z2-7]{24,}")
HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?){12,}")
BINARY = re.compile(r"(?:[01]{8}[ ,]?){6,}")
TELLTALE = frozenset(
    (
        *("ignore", "disregard", "previous", "instructions", "system", "prompt", "secrets"),
        *("assistant", "user", "execute", "reveal", "guidelines", "forget"),
    )
)
# How often each must be there to weigh something, and how often to weigh more.
UNSEEN_RUNS = (
    (SELECTORS, 1, 0.9, 1, 0.9, "a run of variation selectors"),
    (INVISIBLE_RUN, 1, 0.9, 1, 0.9, "a run of zero-width characters"),
    (INSIDE_WORD, 1, 0.45, 3, 0.75, "zero-width characters inside words"),
    (SOFT, 2, 0.45, 4, 0.6, "soft hyphens inside words"),
    (OVERRIDE, 1, 0.75, 1, 0.75, "text that runs backwards"),
)
LEET_WORD = re.compile(r"(?<![^\W_])[a-z]{0,8}[013457]{1,3}[a-z][a-z013457]{1,20}(?![^\W_])")
SOME = 3  # such words, and the others that mix letters and digits are meant so, too
MIXED_WORD = re.compile(r"(?<![^\W_])(?=\d{0,3}[a-z])[a-z]{0,8}[013457][a-z013457]{0,20}(?![^\W_])")
LEET = str.maketrans("013457", "oieast")
TURN = "It looks like a turn of the conversation"
CALL = "It has its reader call a tool or run something"
SENT = "It has data sent away"
# What gives no honest advice, and what the model of wordings does not see: forms, not words.
FORMS = tuple(
    (sentence, weight, re.compile(pattern))
    for sentence, weight, pattern in (
        (TURN, 0.6, r"(?:^|\n)[ \t#>*=-]{0,6}(?:assistant|human|ai)[ *\])]{0,3}:"),
        (TURN, 0.6, r"\b(?:new|updated|revised) (?:system )?(?:instructions?|prompt)\s?:"),
        (
            CALL,
            0.9,
            r"<(?:tool_call|tool_use|function_calls?|invoke|\w{1,9}:invoke)\b[^\n]{0,60}[>=]",
        ),
        (
            CALL,
            0.6,
            r'"(?:tool|name|tool_name)"\s?:\s?"[^"\n]{1,60}",\s{0,4}"(?:arguments|input)"\s?:',
        ),
        (CALL, 0.75, r"\b(?:function_call|tool_call|tool_code|action_input)\s?[:=]\s?[{\[\"]"),
        (CALL, 0.9, r"bash -i\s?>&|\bnc\b[^\n]{0,40} -e\b|/dev/tcp/"),
        (CALL, 0.9, r"powershell[^\n]{0,60}(?:-enc|hidden|downloadstring)"),
        (CALL, 0.6, r"dangerously-skip-permissions|--yolo\b|bypasspermissions"),
        (SENT, 0.9, r"!\[[^\]\n]{0,120}\]\(\s?https?://[^)\s?#]{0,100}[?#][^)\s]{0,80}[{<\[$]"),
        (
            SENT,
            0.9,
            r"https?://[^\s?)>]{0,100}\?[^\s)>]{0,80}(?:secret|conversation|your_?(?:key|data))",
        ),
        (
            UNRENDERED,
            0.6,
            r"<[a-z]{1,10}\s[^>\n]{0,160}(?:display:\s?none|font-size:\s?0|opacity:\s?0)",
        ),
        (
            UNRENDERED,
            0.6,
            r"<[a-z]{1,10}\s[^>\n]{0,160}(?:visibility:\s?hidden|color:\s?(?:white|#fff))",
        ),
        (UNRENDERED, 0.6, r"\[//\]:\s?#\s?[(\"']|\\color\{(?:white|transparent)\}"),
    )
)
ROTATED = frozenset(codecs.encode(word, "rot13") for word in TELLTALE)
REVERSED = frozenset(word[::-1] for word in TELLTALE)
LETTERS = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,4}[^\W_](?![^\W_])){5,}")  # spaced out


class Screened(NamedTuple):
    """How sure it is that a text gives orders, 0 to 1, and why: a sentence for each kind."""

    score: float
    reasons: tuple[str, ...]

    def held(self, *, outside: bool) -> str | None:
        """Why it is held back; None where it is not."""
        if self.score < (OUTSIDE if outside else OWN):
            return None
        return "; ".join(self.reasons)


class Sign(NamedTuple):
    """One thing found: what it is said to be, how much it weighs, and what shows it."""

    sentence: str
    weight: float
    quote: str


def screened(texts: Iterable[str]) -> Screened:
    """Screen the texts of one lesson, which a reader sees together."""
    raw = "\n".join(text for text in texts if text)
    by_sentence: dict[str, list[Sign]] = {}
    for sign in (*_hiding(raw), *_ordering(raw, DEPTH)):
        by_sentence.setdefault(sign.sentence, []).append(sign)
    heaviest = [_together(signs) for signs in by_sentence.values()]
    heaviest.sort(key=lambda sign: -sign.weight)
    shown = [sign for sign in heaviest if sign.weight > 0.2][:REASONS]
    return Screened(_any(sign.weight for sign in heaviest), tuple(map(_reason, shown)))


def _any(weights: Iterable[float]) -> float:
    none = 1.0
    for weight in weights:
        none *= 1 - weight
    return round(1 - none, 3)


def _together(signs: list[Sign]) -> Sign:
    """Two signs of one kind weigh more than one; more than two do not."""
    signs.sort(key=lambda sign: -sign.weight)
    return signs[0]._replace(weight=_any(sign.weight for sign in signs[:2]))


def _reason(sign: Sign) -> str:
    quote = named(sign.quote)
    return f"{sign.sentence}: \u201c{quote}\u201d" if quote else sign.sentence


def _ordering(raw: str, depth: int) -> Iterator[Sign]:
    """The orders of a text, and those of what it holds in a comment or an encoding."""
    text = normal(raw)
    order = worded(text)
    yield Sign(ORDERING, order.score, order.quote)
    for sentence, weight, pattern in FORMS:
        if found := pattern.search(text):
            yield Sign(sentence, weight, found[0])
    if not depth:
        return
    comments = "\n\n".join(_comments(raw))
    for sentence, inside in ((UNRENDERED, [comments]), (ENCODED, _decoded(raw, text))):
        for one in inside:
            if one and _any(sign.weight for sign in _ordering(one, depth - 1)) >= INSIDE:
                yield Sign(sentence, 0.9, one)


def _comments(raw: str) -> Iterator[str]:
    start = raw.find("<!--")
    while start >= 0:
        end = raw.find("-->", start)
        end = len(raw) if end < 0 else end
        yield raw[start + 4 : end]
        start = raw.find("<!--", end)


# Making plain


def normal(raw: str) -> str:
    """The text as a reader understands it: folded, uncovered, look-alikes replaced."""
    text = html.unescape(raw) if "&" in raw else raw
    if "\\" in text:
        text = ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    if "%" in text:
        text = PERCENT.sub(_percent, text)
    text = text.translate(SEPARATORS)
    if not text.isascii():
        unseen = [ord(one) for one in set(text) if _is_unseen(one)]
        text = text.translate(dict.fromkeys(unseen)) if unseen else text
    text = unicodedata.normalize("NFKC", text).casefold()
    text = COMBINING.sub("", text)
    text = MIXED.sub(lambda found: _latin(found[0]), text)
    spelled = len(LEET_WORD.findall(text))
    if spelled:
        pattern = MIXED_WORD if spelled >= SOME else LEET_WORD
        text = pattern.sub(lambda found: found[0].translate(LEET), text)
    text = text.replace("n't", " not").replace("cannot", "can not").replace("\ufffd", "")
    return f"{text}\n\n{spaced}" if (spaced := _spaced(text)) else text


def _is_unseen(one: str) -> bool:
    return one > "~" and (
        unicodedata.category(one) == "Cf"
        or one in ZERO_WIDTH
        or "\ufe00" <= one <= "\ufe0f"
        or "\U000e0100" <= one <= "\U000e01ef"
    )


def _percent(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("%", "")).decode(errors="replace")


def _latin(word: str) -> str:
    """A word of Latin letters and others that look like them, in Latin letters."""
    if word.isascii() or not any("a" <= one <= "z" for one in word):
        return word
    return word.translate(CONFUSED)


def _spaced(text: str) -> str:
    """Words that are spelled in single letters: the usual separator joins, any other divides."""
    return " ".join(word for run in LETTERS.findall(text) for word in _joined(run))


def _joined(run: str) -> list[str]:
    letters, gaps = run[0], re.findall(r"[\W_]+", run)
    usual = Counter(gaps).most_common(1)[0][0]
    for gap, letter in zip(gaps, re.findall(r"[^\W_]", run)[1:], strict=True):
        letters += letter if gap == usual else f" {letter}"
    if " " not in letters:
        return [word for word in sorted(TELLTALE) if word in letters]
    return [letters]


# Hiding


def _hiding(raw: str) -> Iterator[Sign]:
    """Characters that a person does not see, where no script or emoji needs them."""
    text = FLAG.sub("", raw)
    if text.isascii():
        yield from _controls(text)
        return
    for tags in TAGS.findall(text):
        yield Sign(HIDING, 0.9, "".join(chr(ord(one) - 0xE0000) for one in tags))
    for pattern, least, weight, many, heavy, what in UNSEEN_RUNS:
        if (count := len(pattern.findall(text))) >= least:
            yield Sign(HIDING, heavy if count >= many else weight, what)
    found = DIRECTION.findall(text)
    if found and not any(unicodedata.bidirectional(one) in {"R", "AL"} for one in text):
        weight = 0.6 if len(found) > 2 else 0.3
        yield Sign(HIDING, weight, "marks of a direction without such a script")
    yield from _controls(text)
    if mixed := [word for word in MIXED.findall(text.casefold()) if _is_mixed(word)]:
        yield Sign(HIDING, 0.6 if len(mixed) > 1 else 0.45, f"letters of two scripts in {mixed[0]}")


def _is_mixed(word: str) -> bool:
    cyrillic = any("\u0400" <= one <= "\u052f" for one in word)
    return cyrillic and any("a" <= one <= "z" for one in word)


def _controls(text: str) -> Iterator[Sign]:
    if found := CONTROLS.search(text):
        yield Sign(HIDING, 0.6 if found[0] == "\x1b" else 0.45, "control characters")


# Encodings


def _decoded(raw: str, text: str) -> Iterator[str]:
    """What a text holds in an encoding, as far as it is text."""
    if tags := "".join(TAGS.findall(raw)):
        yield "".join(chr(ord(one) - 0xE0000) for one in tags)
    for pattern, decode in DECODERS:
        for found in pattern.findall(raw):
            if plain := _plain(decode, found):
                yield plain
    words = frozenset(re.findall(r"[a-z]{4,20}", text))
    if len(words & ROTATED) > 1:
        yield codecs.encode(text, "rot13")
    if len(words & REVERSED) > 1:
        yield text[::-1]


def _plain(decode: Callable[[str], bytes], found: str) -> str | None:
    try:
        plain = decode(found).decode()
    except (ValueError, binascii.Error):
        return None
    return plain if plain.isprintable() or plain.replace("\n", " ").isprintable() else None


def _base64(text: str) -> bytes:
    even = text.replace("-", "+").replace("_", "/")
    return base64.b64decode(even + "=" * (-len(even) % 4), validate=True)


def _base32(text: str) -> bytes:
    return base64.b32decode(text + "=" * (-len(text) % 8))


def _hex(text: str) -> bytes:
    return bytes.fromhex(re.sub("[ :,]", "", text))


def _binary(text: str) -> bytes:
    digits = re.sub("[ ,]", "", text)
    return bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8))


DECODERS = ((BASE64, _base64), (BASE32, _base32), (HEX, _hex), (BINARY, _binary))
