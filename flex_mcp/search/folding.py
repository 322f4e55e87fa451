"""One form for words that are written in several: letters, accents, wide and joined signs, emoji.

ASCII stays as it is, byte by byte, and so do signs that are no letter or digit, and what the
tokenizer of the index (FTS5, `unicode61`) folds by itself: case, and one accent of a Latin letter.
"""

import re
import unicodedata

LETTERS = {
    "đ": "d",
    "ð": "d",
    "ł": "l",
    "ø": "o",
    "þ": "th",
    "œ": "oe",
    "æ": "ae",
    "\u0131": "i",
    "ħ": "h",
    "ŧ": "t",
    "ŋ": "n",
    "ĸ": "k",
    "\u03c2": "\u03c3",
    "\u0451": "\u0435",  # the last is Cyrillic
}
SPELT_OUT = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"}  # where letters are lacking
WIDE = range(0xFF01, 0xFFEF)  # of these the marks too: they may join words
EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    "|[\u231a-\u23ff\u25b6\u25c0\u25fb-\u25fe\u2600-\u27bf\u2b05-\u2b55"
    "\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
)
UNSEEN = re.compile("[\u00ad\ufe00-\ufe0f]")  # soft hyphens; how a sign is to be shown
LETTERED = re.compile(r"[^\W\d_]+")


class _Forms(dict[int, str]):
    """The form of each sign; made when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = form = _form(chr(code))
        return form


_FORMS = _Forms()
_SPELT_OUT = str.maketrans(SPELT_OUT)


def folded(text: str) -> str:
    """A text with its words in one form; folding it again changes nothing."""
    was = ""
    while text != was and not text.isascii():  # signs that are folded may join with the next ones
        was, plain = text, unicodedata.normalize("NFC", UNSEEN.sub("", text)).translate(_FORMS)
        text = unicodedata.normalize("NFC", plain)
    return text


def emoji_words(text: str) -> list[str]:
    """A word for each emoji: the tokenizer takes most for marks. Of a joined one, for each part."""
    found: list[str] = [] if text.isascii() else EMOJI.findall(text)
    return ["emoji" + "x".join(str(ord(sign)) for sign in emoji) for emoji in found]


def spelt_out(text: str) -> list[str]:
    """Its words that are also written with two letters for one, so: Größe is Groesse."""
    if text.isascii():
        return []
    words: list[str] = LETTERED.findall(unicodedata.normalize("NFC", text).lower())
    changed = [(word, word.translate(_SPELT_OUT)) for word in words]
    return [folded(spelt) for word, spelt in changed if spelt != word]


def _form(sign: str) -> str:
    if sign.isascii() or not (sign.isalnum() or ord(sign) in WIDE):
        return sign
    plain = unicodedata.normalize("NFKC", sign)
    if not plain.isascii():
        plain = plain.casefold()
    return "".join(LETTERS.get(one) or _without_accents(one) for one in plain)


def _without_accents(letter: str) -> str:
    """Of a Greek letter, or a Latin one with several; elsewhere they make another one."""
    first, *accents = unicodedata.normalize("NFD", letter)
    is_plain = (
        unicodedata.name(first, "").startswith("GREEK") if len(accents) < 2 else first.isascii()
    )
    return first if accents and is_plain else letter
