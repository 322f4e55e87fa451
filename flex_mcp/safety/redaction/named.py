"""Secrets that stand beside a name or a word which says so: `PASSWORD=…`, "the token is …", URLs.

Only the value goes. Code that reads a secret (`os.environ["X"]`, `$TOKEN`, `get_token()`), an
example (`<your-key>`, `xxxx`, `changeme`) and a sentence about secrets hold none.

Every repeat is bounded or possessive, so that the cost grows with the text, whatever it is.
"""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from flex_mcp.safety.redaction.spans import Span, is_random
from flex_mcp.safety.redaction.vocabulary import word_set

NAME_LIMIT = 60  # characters of a name
VALUE_LIMIT = 512  # characters of a value; a longer one is no password, but may be a token
TRIES = 8  # names inside one run of characters that are looked at
FOREIGN = (
    "contraseña|contrasena|kennwort|passwort|geheimnis|geheimwort|mot de passe|motdepasse|senha|"
    "wachtwoord|parola|lösenord|hasło|haslo|пароль|密码|密碼|パスワード|비밀번호"
)
WORDS = (  # each is looked for by itself: that is ten times as fast as their alternation
    *("pass", "pwd", "secret", "token", "key", "cred", "auth", "cookie", "session"),
    *("sessid", "signature", "webhook", "sig", "salt", "pin"),
    *FOREIGN.split("|"),
)
REST = re.compile(r"[A-Za-z0-9_-]*+")
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")

# How a name and its value are joined; the group says which
JOINED = re.compile(
    r"""
    (?P<assign>\\{0,3}["'`]?\]?[ \t]{0,9}
      (?: :[ ]?[A-Za-z][\w.\[\]|]{0,40}[ ]?=(?!=) | => | := | ={1,3} | !== | != | ::? | -> )
      [ \t]{0,9} (?:[bBrRuU]{1,2}(?=["']))? @?)
  | (?P<named>\\{0,3}["'`]?[ \t]{0,9}(?:,\s{0,40}|\s{1,40})\\{0,3}["'`]?[vV]alue\\{0,3}["'`]?
      [ ]{0,3}[:=][ ]{0,3})
  | (?P<element>(?:[ ][\w:-]{1,20}="[^"<>\n]{0,30}"){0,2}>)
  | (?P<call>\([ ]{0,3}(?=\\{0,3}["'`]))
  | (?P<item>\\{0,3}["'`],[ ]{0,3}(?=\\{0,3}["'`]))
  | (?P<said>\*{0,2}["'`]?[ \t]{1,3}(?:(?:for|of|to|on|für|de|do|da)[ ][\w.@ -]{1,30}[ ])?
      (?:is|was|are|be|to|ist|lautet|war|est|es|é|è|jest)\b[ \t]{0,3}:?[ \t]{0,3}
      (?:now[ ]|set[ ]to[ ]|changed[ ]to[ ])?\*{0,2})
  | (?P<cjk>[ ]?(?:は|是|\uff1a|为|為|가|은|는)[ ]?)
  | (?P<space>[ \t]{1,4})
    """,
    re.VERBOSE,
)
QUOTED = re.compile(
    r"""(\\{1,3}["'`])(?P<escaped>[^\n]{1,512}?)\1
    | "(?P<double>(?:[^"\\\n]|\\.){1,512}+)" | '(?P<single>(?:[^'\\\n]|\\.){1,512}+)'
    | `(?P<back>[^`\n]{1,512}+)`""",
    re.VERBOSE,
)
BARE = re.compile(r"""[^\s"'`<>,;|(){}\[\]\\]++""")
LONG = re.compile(r"""\\{0,3}["'`]?([A-Za-z0-9+/=_.~%-]{513,8192}+)""")
NEXT = re.compile(r"&(?:&|[a-z]{2,6}$|[\w.%-]{1,60}=)")  # of a query, of a shell, of HTML

STRONG = re.compile(rf"password|passwd|passphrase|passcode|passwort|secret|credential|{FOREIGN}")
STRONG_LAST = re.compile(  # "minipass" and "bandpass" are other words
    r"(?:db|user|my|root|admin|become|bind|default|smtp|mail|redis|key|store|mysql|pg|ssh|ftp|ldap"
    r"|http|proxy|sql|app|web|test|old|new)?(?:pass|pw|pwd|pswd|psw|pin)"
)
GLUED_KEY = re.compile(
    r"(?:api|access|secret|private|auth|account|signing|encryption|master|shared|app|client"
    r"|subscription|license)keys?$"
)
WEAK = re.compile(
    r"(?:token|key|auth|cookie|signature|webhook|authorization|session|sessionid|sessid)$"
    r"|^(?:sig|salt|sid|keys|tokens|creds)$"
)
HOLES = re.compile(
    r"\$\{|\$\(|\{\{|%\(|%s|<[^<>]{0,60}>|\*{3}|x{4}|X{4}|\.{3}|…|•{2}|\[redacted|\bENC\[|^\$|^%[\w]+%$"
    r"|^\{.*\}$|://[^/\s]*@|^[~.]{0,2}/[\w.-]+/|^&#?\w"
)
EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->|\?\.)[A-Za-z_]\w*)++|[A-Z]\w*\.[A-Z]\w*")
WORDLIKE = re.compile(r"[^\W\d_]+(?:[-_./][^\W\d_]+)*+")
TOKEN = re.compile(r"[A-Za-z0-9+/=_.~%-]+")
CONSTANT = re.compile(r"[A-Z_]{3,}\d{0,2}|_\w+")
SYMBOLS = re.compile(r"[!@#$%^&*?~+]")
LINE_BEGINS = re.compile(r"(?:^|\n)[ \t>*#-]{0,16}\Z")
LINE_ENDS = re.compile(r"[ \t]{0,16}\r?(?:\n|\Z)")
NOTED = re.compile(
    r"(?:.{0,60}[_-])?(?:password|passwd|passphrase|passcode|pwd|token)", re.IGNORECASE
)
PLAIN = re.compile(
    r"(?![a-z]{0,64}(?:ed|ing|able|ible|tion|ment)\Z)[a-z]{6,64}"
)  # those say how it is
MIXED = re.compile(r"(?=[a-z]{0,64}\d[a-z]{0,64}\d)(?=\d{0,64}[a-z])[a-z\d]{10,64}", re.IGNORECASE)
LEAST_STRONG, LEAST_ENV, LEAST_RANDOM, LEAST_SAID = 4, 6, 16, 20
TRAILING = ".,:;?)"


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


def secrets(text: str) -> Iterator[Span]:
    """The values in a text that their names call secret."""
    end, run, tries = 0, 0, 0  # a run is a value without a space, which may hold names itself
    for word in _words(lowered(text)):
        if word.start < end:
            continue
        start = _begin(text, word.start)
        found = REST.match(text, word.end, word.end + NAME_LIMIT)
        end = found.end() if found else word.end
        if (name := named(text[start:end])) is None:
            continue
        if (given := _given(text, start, end)) is None:
            continue
        tries = tries + 1 if given.stop == run else 0
        run = given.stop
        if given.is_secret(name):
            yield Span(given.start, given.stop, name.kind)
            end = run
        elif tries == TRIES or given.is_long:
            end = run


def _words(folded: str) -> list[Span]:
    met = [word for word in WORDS if word in folded]
    return sorted(Span(*one.span(), word) for word in met for one in re.finditer(word, folded))


def lowered(text: str) -> str:
    """The text in lower case, each character in its place."""
    folded = text.lower()
    if len(folded) == len(text):
        return folded
    return "".join(low if len(low := one.lower()) == 1 else one for one in text)


def _begin(text: str, start: int) -> int:
    """Where the name begins that has a telling word in it."""
    least = max(0, start - NAME_LIMIT)
    while start > least and (text[start - 1].isalnum() or text[start - 1] in "_-"):
        start -= 1
    return start


@functools.lru_cache(maxsize=1024)
def named(text: str) -> Name | None:
    """What a name says; None where it is not that of a secret."""
    bare = text.strip("-_")
    parts = [part.lower() for part in PARTS.findall(bare)]
    parts = [part for part in parts if not part.isdigit()]
    if not parts or parts[-1] in word_set("EXEMPT_LAST") or word_set("EXEMPT") & {*parts}:
        return None
    joined, first, last = "".join(parts), parts[0], parts[-1]
    if "pubkey" in joined or "publickey" in joined:
        return None
    told = STRONG.search(joined) or STRONG_LAST.fullmatch(last)
    qualified = last in {"key", "keys"} and word_set("KEY_QUALIFIERS") & {*parts[:-1]}
    strong = bool(told or qualified or GLUED_KEY.search(joined))
    if not strong and not WEAK.search(last):
        return None
    phrase = told is not None and "phrase" in joined
    return Name(bare, _kind(joined, parts), first, is_strong=strong, is_phrase=phrase)


def _kind(joined: str, parts: list[str]) -> str:
    if "token" in joined:
        return "token"
    if "key" in joined:
        return "api-key" if "api" in joined else "key"
    if "secret" in joined:
        return "secret"
    if re.search(r"cookie|sess|^sid$", parts[-1]):
        return "session"
    return "signature" if "sig" in joined else "password"


def _given(text: str, start: int, end: int) -> "Given | None":
    """What follows the name between two places, if anything is joined to it."""
    joined = JOINED.match(text, end)
    if joined is None or (joined.lastgroup == "element" and text[start - 1] not in "<:"):
        return None
    place = joined.end()
    if quoted := QUOTED.match(text, place):
        begin, stop = quoted.span(quoted.lastgroup or 0)
    elif long := LONG.match(text, place):
        begin, stop = long.span(1)
    elif bare := BARE.match(text, place, place + VALUE_LIMIT + 1):
        begin, value = bare.start(), NEXT.split(bare.group(), maxsplit=1)[0]
        stop = begin + len(value.rstrip(TRAILING))
    else:
        return None
    tight = joined[0] in {"=", ": "}
    return Given(
        text[begin:stop],
        begin,
        joined.lastgroup or "",
        quoted=quoted is not None,
        flag=text[start] == "-" or text[max(0, start - 4) : start] == "ENV ",
        tight=tight,
        after=text[stop : stop + 1],
        noted=tight and quoted is None and _stands_alone(text, start, stop),
    )


def _stands_alone(text: str, start: int, stop: int) -> bool:
    """Whether a name and its value are a line, as in a note or a file of settings."""
    before = text[max(0, start - 20) : start]
    return LINE_BEGINS.search(before) is not None and LINE_ENDS.match(text, stop) is not None


class Given(NamedTuple):
    """A value beside the name of a secret, and how it stands there."""

    value: str
    start: int
    how: str
    quoted: bool
    flag: bool = False
    tight: bool = False
    after: str = ""
    noted: bool = False

    @property
    def stop(self) -> int:
        return self.start + len(self.value)

    @property
    def is_long(self) -> bool:
        return len(self.value) > VALUE_LIMIT

    def is_secret(self, name: Name) -> bool:
        value = self.value
        if self.is_long:
            return _is_key(value)
        if HOLES.search(value) or not self._fits(name):
            return False
        if not name.is_strong:
            if self._is_noted(name):
                return True
            least = LEAST_SAID if self.how in {"said", "space", "cjk", "item"} else LEAST_RANDOM
            return len(value) >= least and _is_key(value)
        return len(value) >= LEAST_STRONG and not _is_filler(value, name) and self._is_text(name)

    def _is_text(self, name: Name) -> bool:
        """Whether the value of what is surely a secret's name is its text."""
        match self.how:
            case "said" | "cjk" | "item":
                return _is_odd(self.value.rstrip("!"))
            case "space":
                told = self.flag or self.quoted or _is_key(self.value)
                return told and _is_odd(self.value)
            case _ if self.quoted:
                return self._is_word(name) and (" " not in self.value or name.is_phrase)
            case _:
                return self._is_literal(name)

    def _fits(self, name: Name) -> bool:
        """Whether the name is one, and no word of a sentence or function, where it stands."""
        if not self.quoted and self.after in {"(", "["}:
            return False  # a call, an item; or it was cut off by what is redacted already
        match self.how:
            case "said" | "space":
                return name.text.lower() != "pass" or self.flag
            case "call":
                return name.first not in word_set("VERBS")
            case "element":
                return self.after == "<"
            case _:
                return True

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


def _is_key(value: str) -> bool:
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


def _bare(text: str) -> str:
    return text.replace("_", "").replace("-", "").lower()


def _is_filler(value: str, name: Name) -> bool:
    """Whether it is what examples put in a secret's place."""
    words = [word.lower() for word in PARTS.findall(value)]
    letters = [word for word in words if not word.isdigit()]
    if len({*value}) < 3:
        return True
    digits = "".join(word for word in words if word.isdigit())
    if not letters:
        return False
    told = {*letters} <= word_set("FILLERS") or value.lower() == name.text.lower()
    return told and len(digits) <= (0 if "pass" in name.kind else 2)
