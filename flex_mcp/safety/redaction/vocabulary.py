"""What `words/secrets.txt` says: the forms of providers' secrets, and the words of names."""

import functools
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

PREFIXED = "provider-token"  # the kind of what only its prefix tells
REST = "[A-Za-z0-9_./=-]{20,300}"
EXACT = re.compile(r"\]\{\d+\}\)?$")


class Form(NamedTuple):
    """What a provider's secrets look like; a text without the needle holds none."""

    kind: str
    needle: str
    regex: str


class Vocabulary(NamedTuple):
    """Sets of words by name, and the forms."""

    words: Mapping[str, frozenset[str]]
    forms: Sequence[Form]


@functools.cache
def vocabulary() -> Vocabulary:
    """What the file says; read once, when first needed."""
    text = (files("flex_mcp.safety") / "words" / "secrets.txt").read_text(encoding="utf-8")
    sets, forms = dict[str, frozenset[str]](), list[Form]()
    for line in text.replace("\n  ", " ").splitlines():
        match line.split():
            case [name, "=", *words]:
                sets[name] = frozenset(words)
            case [kind, needle, regex] if kind != "#":
                ends = "(?![A-Za-z0-9])" if EXACT.search(regex) else ""
                forms.append(Form(kind, needle, regex + ends))
            case [prefix] if prefix != "#":
                forms.append(Form(PREFIXED, prefix, re.escape(prefix) + REST))
            case _:
                pass  # a comment
    return Vocabulary(sets, forms)


def word_set(name: str) -> frozenset[str]:
    """A set of words."""
    return vocabulary().words[name]
