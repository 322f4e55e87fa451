"""Secrets that their place gives away: in a URL before the host, after `Bearer`, after `curl -u`.

As everywhere here, each repeat is bounded or possessive.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

from flex_mcp.safety.redaction.named import named
from flex_mcp.safety.redaction.spans import Span, is_random

HOST = "://"
LEAST_TOKEN, LEAST_DIGITS = 16, 3  # of a token that does not look random
LEAST_SESSION = 10  # of a cookie whose name tells
SAMPLE = 128  # characters that tell whether it is
LOGIN = re.compile(r"""://[^\s:/?#@"'`<>\[\]()]{0,256}+:([^\s/"'`<>]{1,256})@(?!/)""")
USER = re.compile(r"://([A-Za-z0-9_-]{16,128}+)@")
AUTHORIZATION = re.compile(
    r"""authorization\\{0,3}["'`]?[ \t]{0,4}[:=,][ \t]{0,4}\\{0,3}["'`]?
    (?:(?P<scheme>basic|bearer|token|api-?key|bot|negotiate|digest|aws4-hmac-sha256)
      [ \t]{1,4}(?:token=)?)?
    ["']?(?P<value>[A-Za-z0-9._~+/-]{8,2048}+={0,2})""",
    re.VERBOSE | re.IGNORECASE,
)
BEARER = re.compile(
    r"""\bbearer[ \t]{1,4}["']?([A-Za-z0-9._~+/-]{16,2048}+={0,2})""", re.IGNORECASE
)
BASIC = re.compile(r"\bbasic[ \t]{1,4}([A-Za-z0-9+/]{8,512}+={0,2})", re.IGNORECASE)
# A header of cookies, or a command's: then pairs, and what stands between two of them
COOKIES = re.compile(
    r"""(?:cookie\\{0,3}["'`]?\s{0,3}[:=,(]|\s-b[ ]|--cookie[ =])[\s\[({\\"'`]{0,8}""",
    re.IGNORECASE,
)
COOKIE = re.compile(r"""([^\s=;,"'\\]{1,100}+)=([^\s;,"'\\]{1,4096}+)""")
BETWEEN = re.compile(r"""[^;="'\\\n]{0,40}+;\s{0,3}|\\{0,3}["'],\s{0,20}\\{0,3}["']""")
# What posts to somebody, or acts as a bot or with a key, has its secret in the URL's path
URL = re.compile(r"""://([^\s"'<>`\\]{20,600}+)""")
HOOKED = re.compile(
    r"(?:hook[\w.-]{0,60}|/(?:api-?)?(?:key|token|secret|bot)|/v\d(?!/[0-9a-f]{8}-))(?=/)",
    re.IGNORECASE,
)
SEGMENT = re.compile(
    r"(?<=/)(?!webhook)(?=[^/]{0,199}\d|[A-Z]{8})[A-Za-z0-9@_~%-]{8,200}+(?![.\w])"
)
COMMIT = re.compile(r"[0-9A-Fa-f]{40}")

# a needle, and what stands before the password in a command or file that has it; a user before it
# may be inside its quotes
WHO = r"""(?!\d++:)[^\s:%"'$]{1,64}"""
BARE = r"""([^\s"'$|:-][^\s"'|]{2,127})"""
MACHINE = r"(?:machine\s{1,4}\S{1,100}|default)\s{1,9}"
NETRC = rf"{MACHINE}login[ \t]{{1,4}}\S{{1,64}}\s{{1,9}}password[ \t]{{1,4}}"
COMMANDS = tuple(
    (needle, rf"""{before}(?:'{who}([^'\n]{{3,128}})'|"{who}([^"\n]{{3,128}})"|{who}{BARE})""")
    for needle, before, who in (
        (" -u", r"\s-u[ =]{0,2}", WHO + ":"),
        (" -U", r"\s-U[ =]{0,2}", WHO + "[:%]"),
        ("user", r"--(?:proxy-)?user[ =]{1,2}", WHO + ":"),
        ("sshpass", r"\bsshpass[ ]{1,2}-p[ ]?", ""),
        ("mysql", r"\bmysql(?:dump|admin)?\b[^\n]{0,120}?\s-p", ""),
        (" login ", r"\blogin\b[^\n]{0,160}?\s-p[ ]", ""),
        ("htpasswd", r"\bhtpasswd[ ]-\w{0,4}b\w{0,4}[ ]\S{1,100}[ ]\S{1,64}[ ]", ""),
        ("wpa_passphrase", r"\bwpa_passphrase[ ]\S{1,64}[ ]", ""),
        ("redis-cli", r"\bredis-cli\b[^\n]{0,160}?\s-a[ ]", ""),
        ("ldap", r"\bldap\w{0,12}\b[^\n]{0,160}?\s-w[ ]", ""),
        ("login ", NETRC, ""),
        (":5432:", r"[^\s:]{1,64}:5432:[^\s:]{1,64}:[^\s:]{1,64}:", ""),
        ("identified by", r"\buser\b[^\n]{0,120}?\bidentified[ ]by[ ]{1,2}(?=[\"'])", ""),
        ("DENTIFIED", r"IDENTIFIED[ ](?:WITH[ ]\S{1,40}[ ])?BY[ ]{1,2}(?=[\"'])", ""),
        ("SecureString", r"-SecureString[ ]{1,2}(?:-String[ ])?(?=[\"'])", ""),
        (
            "uth",
            r"(?:\bauth\s?=\s?|BasicAuth)\(\s{0,3}[\"'][^\"'\n]{1,64}[\"']\s?,\s{0,3}(?=[\"'])",
            "",
        ),
        ("unzip", r"\bunzip\b[^\n]{0,60}?\s-P[ ]", ""),
        (
            "echo",
            r"\becho[ ]{1,2}(?:-n[ ])?(?=[^\n]{4,140}\|[^\n|]{0,80}(?:sudo[ ]-S|-stdin|chpasswd))",
            "",
        ),
    )
)
EXAMPLE = re.compile(
    r"""\$|[{}<>]|(?-i:^[A-Z_]{3,}$)|%s|%\(|\*{2}|x{3}|\.{3}|…|\[redacted
    |^(?:pass|passw(?:or)?d|pwd|pw|secret|token|your[\w-]*|my[-_]?pass\w*|example|changeme|abc|xyz|123)$""",
    re.VERBOSE | re.IGNORECASE,
)


def secrets(text: str) -> Iterator[Span]:
    """The secrets in URLs, headers and commands."""
    if HOST in text:
        yield from _values(LOGIN, text, _is_given, "connection-string")
        yield from _values(USER, text, is_random, "connection-string")
        yield from _hooks(text)
    lowered = text.lower()
    if any(word in lowered for word in ("authorization", "bearer", "basic")):
        for found in AUTHORIZATION.finditer(text):
            is_basic = (found["scheme"] or "").lower() == "basic"
            if (_is_pair if is_basic else _is_token)(found["value"]):
                yield Span(*found.span("value"), "password" if is_basic else "token")
        yield from _values(BEARER, text, _is_token, "token")
        yield from _values(BASIC, text, _is_pair, "password")
    if "cookie" in lowered or " -b " in text:
        yield from _cookies(text)
    for needle, regex in COMMANDS:
        if needle in text:
            yield from _values(re.compile(regex), text, _is_given, "password")


def _cookies(text: str) -> Iterator[Span]:
    """The cookies of a session: those that look random, or have its name."""
    place = 0
    while header := COOKIES.search(text, place):
        place = header.end()
        while found := COOKIE.match(text, place) or BETWEEN.match(text, place):
            place = found.end()
            if found.re is COOKIE and _is_session(found[1], unquote(found[2])):
                yield Span(*found.span(2), "session")


def _is_session(name: str, value: str) -> bool:
    least = LEAST_SESSION if named(name) else LEAST_TOKEN
    return len(value) >= least and is_random(value[:SAMPLE]) and _is_given(value)


def _hooks(text: str) -> Iterator[Span]:
    """The paths of webhooks and of bots, from the first part that is drawn."""
    for url in URL.finditer(text):
        if hook := HOOKED.search(text, *url.span(1)):
            drawn = list(SEGMENT.finditer(text, hook.end(), url.end()))
            keys = [one for one in drawn if len(one[0]) >= LEAST_TOKEN and is_random(one[0])]
            if keys and not COMMIT.fullmatch(keys[-1][0]):
                yield Span(drawn[0].start(), keys[-1].end(), "webhook")


def _values(
    regex: re.Pattern[str], text: str, is_secret: Callable[[str], bool], kind: str
) -> Iterator[Span]:
    for found in regex.finditer(text):
        place = found.lastindex or 0
        if is_secret(found[place]):
            yield Span(*found.span(place), kind)


def _is_given(value: str) -> bool:
    """Whether it is no example."""
    return not EXAMPLE.search(value)


def _is_token(value: str) -> bool:
    digits = sum(one.isdigit() for one in value)
    is_one = is_random(value[:SAMPLE]) or (len(value) >= LEAST_TOKEN and digits >= LEAST_DIGITS)
    return is_one and _is_given(value)


def _is_pair(value: str) -> bool:
    """Whether it is a user and a password as HTTP's basic authentication has them."""
    try:
        return b":" in base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
