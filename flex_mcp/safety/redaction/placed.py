"""Secrets that their place gives away: in a URL before the host, after `Bearer`, after `curl -u`.

As everywhere here, each repeat is bounded or possessive.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from flex_mcp.safety.redaction.spans import Span, is_random

HOST = "://"
LEAST_TOKEN, LEAST_DIGITS = 16, 3  # of a token that does not look random
SAMPLE = 128  # characters that tell whether it is
LOGIN = re.compile(r"""://[^\s:/?#@"'`<>\[\]()]{0,256}+:([^\s/"'`<>]{1,256})@""")
USER = re.compile(r"://([A-Za-z0-9_-]{16,128}+)@")
AUTHORIZATION = re.compile(
    r"""authorization\\{0,3}["'`]?[ \t]{0,4}[:=,][ \t]{0,4}\\{0,3}["'`]?
    (?:(?P<scheme>basic|bearer|token|api-?key|bot|negotiate|digest)[ \t]{1,4}(?:token=)?)?
    ["']?(?P<value>[A-Za-z0-9._~+/-]{8,2048}+={0,2})""",
    re.VERBOSE | re.IGNORECASE,
)
BEARER = re.compile(
    r"""\bbearer[ \t]{1,4}["']?([A-Za-z0-9._~+/-]{16,2048}+={0,2})""", re.IGNORECASE
)
BASIC = re.compile(r"\bbasic[ \t]{1,4}([A-Za-z0-9+/]{8,512}+={0,2})", re.IGNORECASE)

# a needle, and where the password is in a command or file that has it
COMMANDS = (
    (" -u", r"""\s-u[ =]{0,2}["']?[^\s:"'$]{1,64}:([^\s"'$]{3,128})"""),
    ("user", r"""--(?:proxy-)?user[ =]{1,2}["']?[^\s:"'$]{1,64}:([^\s"'$]{3,128})"""),
    ("sshpass", r"""\bsshpass[ ]{1,2}-p[ ]?["']?([^\s"'$]{3,128})"""),
    ("mysql", r"""\bmysql(?:dump|admin)?\b[^\n]{0,120}?\s-p["']?([^\s"'$-][^\s"']{2,127})"""),
    (" login ", r"""\blogin\b[^\n]{0,160}?\s-p[ ]["']?([^\s"'$-][^\s"']{3,127})"""),
    ("redis-cli", r"""\bredis-cli\b[^\n]{0,160}?\s-a[ ]["']?([^\s"'$-][^\s"']{3,127})"""),
    ("ldap", r"""\bldap\w{0,12}\b[^\n]{0,160}?\s-w[ ]["']?([^\s"'$-][^\s"']{3,127})"""),
    ("login ", r"""\blogin[ \t]{1,4}\S{1,64}\s{1,4}password[ \t]{1,4}["']?([^\s"'$]{3,128})"""),
    (":5432:", r"""[^\s:]{1,64}:5432:[^\s:]{1,64}:[^\s:]{1,64}:([^\s:"'$]{3,128})"""),
    (
        "identified by",
        r"""\buser\b[^\n]{0,120}?\bidentified[ ]by[ ]{1,2}["']([^"'\n]{3,128})["']""",
    ),
    ("DENTIFIED", r"""IDENTIFIED[ ](?:WITH[ ]\S{1,40}[ ])?BY[ ]{1,2}["']([^"'\n]{3,128})["']"""),
    ("SecureString", r"""-SecureString[ ]{1,2}(?:-String[ ])?["']([^"'\n$]{3,128})["']"""),
    ("sudo -S", r"""\becho[ ]{1,2}["']?([^\s"'|$]{4,128})["']?[ ]{0,2}\|[ ]{0,2}sudo[ ]-S"""),
)
EXAMPLE = re.compile(
    r"""\$|[{}<>]|%s|%\(|\*{2}|x{3}|\.{3}|…|\[redacted
    |^(?:pass|passw(?:or)?d|pwd|pw|secret|token|your[\w-]*|my[-_]?pass\w*|example|changeme|abc|xyz|123)$""",
    re.VERBOSE | re.IGNORECASE,
)


def secrets(text: str) -> Iterator[Span]:
    """The secrets in URLs, headers and commands."""
    if HOST in text:
        yield from _values(LOGIN, text, _is_given, "connection-string")
        yield from _values(USER, text, is_random, "connection-string")
    lowered = text.lower()
    if any(word in lowered for word in ("authorization", "bearer", "basic")):
        for found in AUTHORIZATION.finditer(text):
            is_basic = (found["scheme"] or "").lower() == "basic"
            if (_is_pair if is_basic else _is_token)(found["value"]):
                yield Span(*found.span("value"), "password" if is_basic else "token")
        yield from _values(BEARER, text, _is_token, "token")
        yield from _values(BASIC, text, _is_pair, "password")
    for needle, regex in COMMANDS:
        if needle in text:
            yield from _values(re.compile(regex), text, _is_given, "password")


def _values(
    regex: re.Pattern[str], text: str, is_secret: Callable[[str], bool], kind: str
) -> Iterator[Span]:
    for found in regex.finditer(text):
        if is_secret(found[1]):
            yield Span(*found.span(1), kind)


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
