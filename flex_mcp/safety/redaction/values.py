"""What stands beside the name of a secret, and whether it is one.

Code that reads a secret (`os.environ["X"]`, `$TOKEN`, `get_token()`), an example (`<your-key>`,
`xxxx`, `changeme`) and a sentence about secrets ("must have 8 characters") hold none.
"""

import re
from typing import NamedTuple

from flex_mcp.safety.redaction.spans import is_random
from flex_mcp.safety.redaction.vocabulary import word_set

VALUE_LIMIT = 512  # characters of a value; a longer one is no password, but may be a token
LEAST_STRONG, LEAST_ENV, LEAST_RANDOM, LEAST_SAID = 4, 6, 16, 20
MOST_WORDS, MOST_OF_PHRASE = 4, 12
LOOSE = {"said", "space", "cjk", "item", "cell", "prompt"}  # where words of a sentence stand too

PARTS = re.compile(r"[A-Z]+(?![a-zß-ɏ])|[A-Z]?[a-zß-ɏ]+|[^\W\d_A-Za-zß-ɏ]+|\d+")
HOLES = re.compile(
    r"\$\{|\$\(|\{\{|%\(|%s|<[^<>]{0,60}>|\*{3}|x{4}|X{4}|\.{3}|…|•{2}|\[redacted|\bENC\[|^\$|^%[\w]+%$"
    r"|^\{.*\}$|://[^/\s]*@|^[~.]{0,2}/[\w.-]+/|^&#?\w"
)
EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->|\?\.)[A-Za-z_]\w*)++|[A-Z]\w*\.[A-Z]\w*")
WORDLIKE = re.compile(r"[^\W\d_]+(?:[-_./][^\W\d_]+)*+")
TOKEN = re.compile(r"[A-Za-z0-9+/=_.~%-]+")
CONSTANT = re.compile(r"[A-Z_]{3,}\d{0,2}|_\w+")
SNAKE = re.compile(r"[a-z]++\d{0,3}(?:[_-][a-z]++\d?)++")
SLUG = re.compile(
    r"[a-z]{2,20}\d{0,3}(?:[-_](?:[a-z]{2,20}\d{0,3}|[vx]\d{1,3})){0,6}[-_][0-9a-f]{4,10}"
)
SYMBOLS = re.compile(r"[!@#$%^&*?~+]")
NOTED = re.compile(
    r"(?:.{0,60}[_-])?(?:password|passwd|passphrase|passcode|pwd|token)", re.IGNORECASE
)
PLAIN = re.compile(
    r"(?![a-z]{0,64}(?:ed|ing|able|ible|tion|ment)\Z)[a-z]{6,64}"
)  # those say how it is
MIXED = re.compile(r"(?=[a-z]{0,64}\d[a-z]{0,64}\d)(?=\d{0,64}[a-z])[a-z\d]{10,64}", re.IGNORECASE)
FINGERPRINT = re.compile(r"(?:0x)?(?:[0-9A-F]{16}|[0-9A-F]{40})")  # as GnuPG writes it
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
NOT_ODD = re.compile(r"\d{4}-\d\d-\d\d|[\w.+-]{1,64}@[\w-]{1,64}(?:\.[a-z]{1,24}){1,4}\Z")
# Pages, versions, and how public keys begin
PUBLIC = re.compile(r"https?://|\d++(?:\.\d++)++\Z|M(?:FkwEw|IIBIjAN|CowBQ)|AAAA[BCE]")
PROSE = re.compile(r"^\s|\s$|[(){}\[\]=;|<>\\…]|[,:\u2013\u2014]\s|\s[-\u2013\u2014/+*%]\s|\.$")


class Name(NamedTuple):
    """A name as it stands in a text, and what it says of its value."""

    text: str
    kind: str
    first: str
    is_strong: bool  # its value is a secret unless it plainly is not; else only if it looks random
    is_phrase: bool

    @property
    def is_variable(self) -> bool:
        """Whether it is written as variables of an environment are."""
        return self.text.isupper() and len(self.text) > 3


class Given(NamedTuple):
    """A value beside the name of a secret, and how it stands there."""

    value: str
    start: int
    how: str
    quoted: bool
    flag: bool = False
    tight: bool = False
    assigned: bool = False
    after: str = ""
    goes_on: bool = False
    near: bool = False
    ends: bool = False
    noted: bool = False

    @property
    def stop(self) -> int:
        return self.start + len(self.value)

    @property
    def is_long(self) -> bool:
        return len(self.value) > VALUE_LIMIT

    def is_secret(self, name: Name) -> bool:
        value = self.value
        if name.kind == "signature" and not self.assigned:
            return False  # not of a URL: no use to who finds it
        if self.is_long:
            return is_key(value)
        if HOLES.search(value) or not self._fits(name):
            return False
        if name.kind != "password" and self._is_told() and not is_key(value):
            return False
        if not name.is_strong:
            return self._is_noted(name) or self._is_token()
        return len(value) >= LEAST_STRONG and not _is_filler(value, name) and self._is_text(name)

    def _is_told(self) -> bool:
        """Whether it is a number, or a word of a sentence about a key."""
        is_named = self.how in LOOSE and SNAKE.fullmatch(self.value) is not None
        return self.goes_on or is_named or self.value.isdigit()

    def _is_text(self, name: Name) -> bool:
        """Whether the value of what is surely a secret's name is its text."""
        match self.how:
            case _ if " " in self.value:
                return self._are_words(name)
            case "said" | "cjk" | "item" | "cell":
                return _is_odd_in_text(self.value.strip("*_!"))
            case "space":
                told = self.flag or is_key(self.value) or (self.quoted and name.kind != "secret")
                is_listed = self.near and (self.ends or self.after in {",", ";", "."})
                return (told or is_listed) and _is_odd(self.value)
            case "prompt" | "below":
                return self.ends and (_is_odd_in_text(self.value) or self._is_noted(name))
            case _ if self.quoted:
                return self._is_word(name)
            case _:
                return self._is_literal(name)

    def _are_words(self, name: Name) -> bool:
        """Whether words are the secret: a password of some, or a key in groups."""
        may_be_words = name.kind in {"password", "secret"} or self.how not in LOOSE
        return (self.quoted and may_be_words and _is_odd_phrase(self.value, name)) or (
            self._is_token()
        )

    def _fits(self, name: Name) -> bool:
        """Whether the name is one, and no word of a sentence or function, where it stands."""
        if not self.quoted and self.after in {"(", "["}:
            return False  # a call, an item; or it was cut off by what is redacted already
        if name.text.lower().endswith("pin") and not any(one.isdigit() for one in self.value):
            return False
        match self.how:
            case "said" | "space":
                is_word = name.text.lower() in {"pass", "pin"} and not self.value.isdigit()
                return not is_word or self.flag or (self.near and self.ends)
            case "call":
                return name.first not in word_set("VERBS")
            case "item":
                return not SNAKE.fullmatch(self.value)
            case _:
                return True

    def _is_token(self) -> bool:
        """Whether it looks random, in groups or in one."""
        words = self.value.split()
        if len(words) > 1 and not all(any(one.isdigit() for one in word) for word in words):
            return False
        value = "".join(words)
        least = LEAST_SAID if self.how in LOOSE and not self.quoted else LEAST_RANDOM
        if (
            PUBLIC.match(value)
            or FINGERPRINT.fullmatch(value)
            or SLUG.fullmatch(value)  # of a cache, say
            or (self.how == "space" and UUID.fullmatch(value))
        ):
            return False
        return len(value) >= least and is_key(value)

    def _is_word(self, name: Name) -> bool:
        """Whether letters alone may be it: a password is a word at times, a key is none."""
        is_wordy = WORDLIKE.fullmatch(self.value) or CONSTANT.fullmatch(self.value)
        return name.kind in {"password", "secret"} or not is_wordy

    def _is_literal(self, name: Name) -> bool:
        """Whether a value without quotes is text, not code."""
        value = self.value
        if EXPRESSION.fullmatch(value.rstrip("!")):
            return False
        if name.kind != "password" and _bare(name.text) in _bare(value):
            return False  # the type of that name
        if _is_odd(value):
            return True
        env = (name.is_variable and self.tight) or self.how == "element"
        plain = env and len(value) >= LEAST_ENV and not value.startswith(("/", "~", "./"))
        return (plain and self._is_word(name)) or self._is_noted(name)

    def _is_noted(self, name: Name) -> bool:
        """Whether it stands as people note a password or a token: a line, and no code."""
        if not (self.noted and NOTED.fullmatch(name.text)):
            return False
        form = PLAIN if name.kind == "password" else MIXED
        return form.fullmatch(self.value) is not None


def is_key(value: str) -> bool:
    """Whether a value looks as a drawn key does."""
    return TOKEN.fullmatch(value) is not None and is_random(value[:VALUE_LIMIT])


def _is_odd(value: str) -> bool:
    """Whether it is no plain word: letters and digits, or a symbol as in passwords."""
    if WORDLIKE.fullmatch(value) or CONSTANT.fullmatch(value):
        return False
    if value.startswith(("/", "./", "~/", "-", "http")):
        return False
    if value.isdigit():
        return len(value) >= LEAST_ENV
    if not any(one.isalpha() for one in value):
        return False
    return any(one.isdigit() for one in value) or SYMBOLS.search(value) is not None


def _is_odd_in_text(value: str) -> bool:
    """Whether it is odd, and no date, no address and no prompt, which stand in texts too."""
    return _is_odd(value) and not NOT_ODD.match(value) and value[-1:] not in {"#", "$", "%"}


def _is_odd_phrase(value: str, name: Name) -> bool:
    """Whether some words are a password, and no sentence about one."""
    words = {word.strip("!?.,") for word in (value[:1].lower() + value[1:]).split()}
    if PROSE.search(value) or words & word_set("SENTENCE"):
        return False
    if name.is_phrase:
        return len(value.split()) <= MOST_OF_PHRASE
    if len(value.split()) > MOST_WORDS:
        return False
    if any(one.isdigit() for one in value):
        return True
    return SYMBOLS.search(value) is not None and not words & word_set("FILLERS")


def _bare(text: str) -> str:
    return text.replace("_", "").replace("-", "").lower()


def _is_filler(value: str, name: Name) -> bool:
    """Whether it is what examples put in a secret's place, or where it lies."""
    if len({*value}) < 3 or PUBLIC.match(value) or _bare(value) == _bare(name.text):
        return True
    if value.startswith("--") or ("_" in value and CONSTANT.fullmatch(value)):
        return True  # an option, a variable
    if value.count("/") > 1 and not is_key(value) and "." not in value:
        return True
    words = [word.lower() for word in PARTS.findall(value)]
    letters = [word for word in words if not word.isdigit()]
    digits = "".join(word for word in words if word.isdigit())
    if not letters:
        return False
    told = {*letters} <= word_set("FILLERS")
    most = 2 if " " in value or name.kind != "password" else 0
    return told and len(digits) <= most
