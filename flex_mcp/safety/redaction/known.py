"""Secrets that their own form gives away: a provider's prefix, a key's armour, a web token.

A provider's form is searched only where its needle is in the text.
"""

import re
from collections.abc import Iterator

from flex_mcp.safety.redaction.spans import Span, is_random
from flex_mcp.safety.redaction.vocabulary import PREFIXED, Form, vocabulary

ARMOUR_LIMIT = 64 * 1024  # characters of a private key, its armour included
LEAST_KEY = re.compile(r"[A-Za-z0-9+/]{24}")
BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
CUT_OFF = re.compile(r"(?:[A-Za-z0-9+/=\\]|[ \t\r\n,:-](?!-----))*+")  # a key without its end
PUTTY = re.compile(
    r"Private-Lines: ?\d{1,4}(?:\r?\n|\\n)((?:[A-Za-z0-9+/=]{1,80}(?:\r?\n|\\n)?)++)"
)
SAMPLE = 64  # characters that tell whether it is random
WEB_TOKEN = re.compile(  # the look behind: a start inside a run is given up at once
    r"eyJ(?<![A-Za-z0-9_-]eyJ)[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+){0,3}"
)


def secrets(text: str) -> Iterator[Span]:
    """The secrets that are known by their form."""
    yield from _armoured(text)
    if "eyJ" in text:
        yield from (Span(*found.span(), "jwt") for found in WEB_TOKEN.finditer(text))
    for form in vocabulary().forms:
        if form.needle in text:
            yield from _of_form(form, text)


def _of_form(form: Form, text: str) -> Iterator[Span]:
    regex, place, last = re.compile(form.regex), 0, 0
    while found := regex.search(text, place):
        start, end = found.span(found.lastindex or 0)
        begin = found.start()
        if begin > last and (text[begin - 1].isalnum() or text[begin - 1] == "_"):
            place = begin + 1  # it begins inside a word
            continue
        if form.kind == PREFIXED and not is_random(text[start:end][len(form.needle) : SAMPLE]):
            place = begin + 1
            continue
        yield Span(start, end, form.kind)
        place = last = end


def _armoured(text: str) -> Iterator[Span]:
    """Private keys in PEM or PuTTY's armour, with key material in it."""
    place = 0
    while begin := BEGIN.search(text, place):
        place = begin.end()
        end = text.find("-----END", place, place + ARMOUR_LIMIT)
        close = text.find("-----", end + 8, end + 80) if end >= 0 else -1
        again = BEGIN.search(text, place, end) if close >= 0 else None
        whole = close >= 0 and again is None
        stop = close + 5 if whole else _run(text, place)
        if LEAST_KEY.search(text, place, stop):
            yield Span(begin.start(), stop, "private-key")
            place = stop
    if "Private-Lines" in text:
        yield from (Span(*found.span(1), "private-key") for found in PUTTY.finditer(text))


def _run(text: str, start: int) -> int:
    found = CUT_OFF.match(text, start, start + ARMOUR_LIMIT)
    return found.end() if found else start
