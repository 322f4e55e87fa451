"""Secrets that stand beside a name or a word which says so: `PASSWORD=…`, "the token is …".

Only the value goes. Every repeat is bounded or possessive, so that the cost grows with the text,
whatever it is.
"""

import functools
import re
from collections.abc import Iterator

from flex_mcp.safety.redaction.spans import Span
from flex_mcp.safety.redaction.values import PARTS, VALUE_LIMIT, Given, Name
from flex_mcp.safety.redaction.vocabulary import word_set

NAME_LIMIT = 60  # characters of a name
TRIES = 8  # names inside one run of characters that are looked at
FOREIGN = "|".join(word.replace("_", " ") for word in sorted(word_set("PASSWORDS")))
FOREIGN_KEYS = "|".join(sorted(word_set("KEYS")))
WORDS = (  # each is looked for by itself: that is ten times as fast as their alternation
    *("pass", "pwd", "pw", "secret", "token", "key", "cred", "auth", "cookie", "session"),
    *("sessid", "signature", "webhook", "sig", "salt", "pin", "psk", "clave"),
    *FOREIGN.split("|"),
    *FOREIGN_KEYS.split("|"),
)
REST = re.compile(r"[A-Za-z0-9_À-ɏЀ-ӿ-]*+")

# Between a name and what joins it to its value: whose it is, and a hint in brackets
OF = (
    "for|of|to|on|from|in|at|für|von|zu|vom|zum|am|im|de|del|des|do|da|di|du|pour|para|per|à|"
    "от|для|к|на|api|admin|root|wi-?fi|wlan|vpn|prod|staging|test|dev|db|ssh|ftp|smtp|mail|"
    "here|again|below"
)
WORD = r"[\w.@/'-]{1,40}+(?<!\.)"
WHOSE = rf"""(?:(?:[ ]api)?[ ](?:{OF})
    (?:[ ](?:'[^'\n]{{1,120}}'|"[^"\n]{{1,120}}"|{WORD}(?:[ ]{WORD}){{0,3}}?))?)"""
HINT = r"(?:[ ]?(?:\[[^\[\]\n]{0,60}\]|\([^()\n]{0,60}\)))"
MORE = rf"(?:{WHOSE}{HINT}?|{HINT}{{1,2}})"
ARROW = r"[>\u203a\u276f]"

# How a name and its value are joined; the group says which
JOINED = re.compile(
    rf"""
    (?P<assign>\\{{0,3}}["'`]?\]?[ \t]{{0,9}}
      (?: :[ ]?(?:&(?:'static[ ])?)?[A-Za-z][\w.\[\]|]{{0,40}}[ ]?=(?!=)
        | => | := | ={{1,3}} | !== | != | ::? | -> )
      \*{{0,2}}[ \t]{{0,9}} (?:[bBrRuU]{{1,2}}(?=["']))? @? (?=[^\s>\u203a\u276f]))
  | (?P<named>\\{{0,3}}["'`]?[ \t]{{0,9}}(?:,\s{{0,40}}|\s{{1,40}})\\{{0,3}}["'`]?[vV]alue
      \\{{0,3}}["'`]?[ ]{{0,3}}[:=][ ]{{0,3}})
  | (?P<block>["'`]?[ ]?\{{[^{{}}]{{0,200}}?\b(?:default|value)[ \t]{{0,9}}=[ \t]{{0,9}}(?=["']))
  | (?P<element>(?:["']|(?:[ ][\w:-]{{1,20}}="[^"<>\n]{{0,30}}"){{0,2}})>)
  | (?P<call>[({{][ ]{{0,3}}(?=\\{{0,3}}["'`]))
  | (?P<item>\\{{0,3}}["'`],[ ]{{0,3}}(?=\\{{0,3}}["'`]))
  | (?P<said>\*{{0,2}}["'`]?(?:{WHOSE}[ ])?[ \t]{{0,3}}(?<=[ \t])
      (?:(?:is|was|are|be|to|ist|lautet|war|est|es|é|è|jest|är|er|este|adalah|là)\b
      |[\u2013\u2014→-](?=[ \t]))
      [ \t]{{0,3}}:?[ \t]{{0,3}}(?:(?:now|set[ ]to|changed[ ]to|jetzt|nun|maintenant|ahora
        |ora|agora|теперь)[ ])?\*{{0,2}})
  | (?P<below>{MORE}?[ ]?[:?][ \t]{{0,4}}(?:\r?\n|(?:\\r)?\\n){{1,2}}(?=\S))
  | (?P<prompt>(?:{MORE}[ ]?(?:[:=?]|(?=[ ]{ARROW}))|[ ]?[:?](?=[ ]{{0,2}}{ARROW})
      |[ ]?\?|(?=[ ]{ARROW})|{HINT}) [ ]{{0,2}}{ARROW}?[ \t]{{1,4}}(?=\S))
  | (?P<cell>[*`]{{0,2}}[ \t]{{0,30}}\|[ \t]{{1,4}})
  | (?P<cjk>[ ]?(?:は|是|\uff1a|为|為|가|은|는)[ ]?)
  | (?P<space>[ \t]{{1,9}}(?:pass:)?)
    """,
    re.VERBOSE | re.IGNORECASE,
)
QUOTED = re.compile(
    r"""(\\{1,3}["'`])(?P<escaped>[^\n]{1,512}?)\1
    | "(?P<double>(?:[^"\\\n]|\\.){1,512}+)" | '(?P<single>(?:[^'\\\n]|\\.){1,512}+)'
    | `(?P<back>[^`\n]{1,512}+)`
    | [«„“「『]\s?(?P<book>[^\n«»„“”「」『』]{1,128}?)\s?[»“”」』]""",
    re.VERBOSE,
)
BARE = re.compile(r"""[^\s"'`<>,;|(){}\[\]\\]++""")
LONG = re.compile(r"""\\{0,3}["'`]?([A-Za-z0-9+/=_.~%-]{513,8192}+)""")
INNER = re.compile(r"[^<>\n]{1,512}+(?=</)")  # of an element
PART = re.compile(r"""[^;"'\n]{1,128}+(?=;)""")  # of a connection's string
PHRASE = re.compile(
    r"""[^\s"'\\]{2,40}+(?: [^\s"'\\]{1,40}+){1,11}+(?=[ \t]{0,16}(?:\r?\n|\Z|[\\"'`]))"""
)
NEXT = re.compile(r"&(?:&|[a-z]{2,6}$|[\w.%-]{1,60}=)")  # of a query, of a shell, of HTML

STRONG = re.compile(
    rf"password|passwd|passphrase|passcode|secret|credential|{FOREIGN}".replace(" ", "")
)
STRONG_LAST = re.compile(  # "minipass" and "bandpass" are other words
    r"(?:db|user|my|root|admin|become|bind|default|smtp|mail|redis|key|store|mysql|pg|ssh|ftp|ldap"
    r"|http|proxy|sql|app|web|test|old|new)?(?:pass|pw|pwd|pswd|psw|psk|pin)|clave"
)
GLUED_KEY = re.compile(
    r"(?:api|access|secret|private|auth|account|signing|encryption|master|shared|app|client"
    r"|subscription|license)keys?$"
)
WEAK = re.compile(
    r"(?:token|key|auth|cookie|signature|webhook|authorization|session|sessionid|sessid)$"
    rf"|^(?:sig|salt|sid|keys|tokens|creds|{FOREIGN_KEYS})$"
)
OWN_ID = {"private", "secret"}  # the id of such a one is kept as it is: private_key_id

TYPED = {"assign", "prompt"}
LINE_BEGINS = re.compile(r"(?:^|\n)[ \t>*#-]{0,16}\Z")
LINE_ENDS = re.compile(r"[ \t]{0,16}\r?(?:\n|\Z)")
ENDS = re.compile(r"""[ \t]{0,16}(?:\r?\n|\Z|\\|["'`])""")  # the same, within a text of JSON too
GOES_ON = re.compile(r"[ ][a-z]{1,20}[ .,]")  # a sentence
ROW = re.compile(r"(?:^|\n|\|)[ \t]{0,16}\|?[ \t*`]{0,9}\Z")
ATTRIBUTE = re.compile(r"""\b(?:name|key|id)=["'][\w.-]{0,60}\Z""")
USER = re.compile(r"(?:user|login|name|mail|host)[\"']?\s{0,3}[:=]", re.IGNORECASE)
NEAR = re.compile(
    r"\b(?:user(?:name)?|login|benutzer(?:name)?|usuario|utilisateur|utente|account|konto|e-?mail)\b",
    re.IGNORECASE,
)
SPOKEN = re.compile(r"\b([A-Za-z]{2,12})\d? \Z")
PAGED = re.compile(r"(?:next|page|continuation|pagination)tokens?$")  # where a list goes on
TRAILING = ".,:;?)"


def secrets(text: str) -> Iterator[Span]:
    """The values in a text that their names call secret."""
    end, run, tries = 0, 0, 0  # a run is a value without a space, which may hold names itself
    for word in _words(lowered(text)):
        if word.start < end:
            continue
        start = _begin(text, word.start)
        found = REST.match(text, word.end, word.end + NAME_LIMIT)
        end = found.end() if found else word.end
        if (name := named(_spoken(text, start) + text[start:end])) is None:
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


def _spoken(text: str, start: int) -> str:
    """What a word before a name makes of it, as in "API key"."""
    before = SPOKEN.search(text, max(0, start - 15), start)
    return f"{before[1]}_" if before and before[1].lower() in word_set("SPOKEN") else ""


def _words(folded: str) -> list[Span]:
    met = [word for word in WORDS if word in folded]
    found = (Span(*one.span(), word) for word in met for one in re.finditer(word, folded))
    return sorted(found, key=lambda one: (one.start, -one.end))


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
    if parts[-2:] == ["pass", "word"]:
        parts[-2:] = ["password"]
    if is_id := parts[-1:] == ["id"] and bool(OWN_ID & {*parts}):
        parts.pop()
    if not parts or parts[-1] in word_set("EXEMPT_LAST") or word_set("EXEMPT") & {*parts}:
        return None
    joined, first, last = "".join(parts), parts[0], parts[-1]
    if "pubkey" in joined or "publickey" in joined or PAGED.search(joined):
        return None
    if joined in {"cookie", "setcookie"}:
        return None  # a header of cookies says itself which one it is
    told = STRONG.search(joined) or STRONG_LAST.fullmatch(last)
    qualified = last in {"key", "keys"} and word_set("KEY_QUALIFIERS") & {*parts[:-1]}
    strong = bool(told or qualified or GLUED_KEY.search(joined))
    if not strong and not WEAK.search(last):
        return None
    phrase = told is not None and "phrase" in joined
    kind = _kind(joined, parts)
    return Name(bare, kind, first, is_strong=strong and not is_id, is_phrase=phrase)


def _kind(joined: str, parts: list[str]) -> str:
    if "token" in joined:
        return "token"
    if "key" in joined or parts[-1] in word_set("KEYS"):
        return "api-key" if "api" in joined else "key"
    if "secret" in joined:
        return "secret"
    if re.search(r"cookie|sess|^sid$", parts[-1]):
        return "session"
    return "signature" if "sig" in joined else "password"


def _given(text: str, start: int, end: int) -> Given | None:
    """What follows the name between two places, if anything is joined to it."""
    joined = JOINED.match(text, end)
    if joined is None or not _may_join(text, start, joined):
        return None
    how = joined.lastgroup or ""
    name = text[start:end].lower()
    value = _value(text, joined, name, is_part=text[max(0, start - 1) : start] == ";")
    if value is None:
        return None
    begin, stop, quoted = value
    tight = joined[0] in {"=", ": "}
    if name == "pass" and ":" in joined[0] and _is_count(text, start, begin, stop):
        return None
    begins = LINE_BEGINS.search(text[max(0, start - 20) : start]) is not None
    ends = LINE_ENDS.match(text, stop) is not None
    return Given(
        text[begin:stop],
        begin,
        how,
        quoted=quoted,
        flag=text[start] == "-" or text[max(0, start - 4) : start] == "ENV ",
        tight=tight,
        assigned="=" in joined[0],
        after=text[stop : stop + 1],
        goes_on=not quoted and GOES_ON.match(text, stop) is not None,
        ends=ENDS.match(text, stop) is not None,
        near=how == "space" and not text[begin:stop].isalpha() and _is_near_user(text, start),
        noted=(tight or how == "prompt") and not quoted and begins and ends,
    )


def _is_near_user(text: str, start: int) -> bool:
    """Whether somebody's name for a login stands before a name, as in a list of both."""
    return NEAR.search(text, max(0, start - 80), start) is not None


def _may_join(text: str, start: int, joined: re.Match[str]) -> bool:
    """Whether what stands before a name lets it have a value that is joined so."""
    before = text[max(0, start - 80) : start]
    match joined.lastgroup:
        case "element":
            return before[-1:] in {"<", ":"} or ATTRIBUTE.search(before) is not None
        case "cell":
            return ROW.search(before) is not None
        case "assign":
            return before[-2:] != "::" and (joined[0] != ":" or before[-1:] != ":")  # of parts
        case _:
            return before[-1:] != "/"  # a path


def _value(
    text: str, joined: re.Match[str], name: str, *, is_part: bool
) -> tuple[int, int, bool] | None:
    """Where the value is that is joined to a name, and whether something holds it together."""
    place = joined.end()
    if held := _held(text, joined, name, is_part=is_part):
        return (*held, True)
    if long := LONG.match(text, place):
        return (*long.span(1), False)
    if joined.lastgroup != "element" and (bare := BARE.match(text, place, place + VALUE_LIMIT + 1)):
        value = NEXT.split(bare[0], maxsplit=1)[0].rstrip(TRAILING)
        return place, place + len(value), False
    return None


def _held(text: str, joined: re.Match[str], name: str, *, is_part: bool) -> tuple[int, int] | None:
    """A value in quotes, in an element, in a list of settings, or a phrase at the line's end."""
    place, how = joined.end(), joined.lastgroup
    if how == "element":
        form = INNER
    elif quoted := QUOTED.match(text, place):
        return quoted.span(quoted.lastgroup or 0)
    elif is_part and joined[0] == "=":
        form = PART
    elif "phrase" in name and joined[0].rstrip()[-1:] not in {"=", ")"} and how in TYPED:
        form = PHRASE
    else:
        return None
    found = form.match(text, place)
    return found.span() if found else None


def _is_count(text: str, start: int, begin: int, stop: int) -> bool:
    """Whether it is what a run of tests says: `PASS: test_x`, `pass: 128`."""
    value = text[begin:stop]
    held = text[begin - 1] in "\"'`" and " " not in value
    is_one = (text[start:begin].isupper() and not held) or value.isdigit()
    return is_one and USER.search(text[max(0, start - 80) : start]) is None
