"""Prompts: Markdown files with $placeholders, shipped in the wheel and found in a checkout.

A file in the user's own folder (FLEX_MCP_PROMPTS) takes the place of ours of the same name. The
first line of each holds its version, which models do not see.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from flex_mcp.errors import PromptError
from flex_mcp.models.briefs import Message, Prompt, Shown
from flex_mcp.validation import schema_of

TEXTS = {".md", ".txt", ".markdown"}
ALIKE = 0.8  # how alike two names are where one is the other, misspelt
VERSION = re.compile(r"\A<!-- version (\S+) -->\s*")


def _ours() -> Traversable:
    """`flex_mcp/_prompts` of a wheel; an editable install has none and uses the checkout's."""
    packaged = files("flex_mcp") / "_prompts"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "prompts"


class Prompts:
    """The prompts, ours or the user's.

    Args:
        folder: the user's own files; None uses ours.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        names = (file.name for file in _ours().iterdir())
        return sorted(name.removesuffix(".md") for name in names if name.endswith(".md"))

    def render(self, name: str, /, **values: str) -> str:
        """A prompt with its placeholders filled.

        Raises:
            PromptError: there is no such prompt, a placeholder has no value, or the user's file
                lacks a placeholder or has one that nothing fills.
        """
        try:
            return Template(self._text(name)).substitute(values).strip()
        except KeyError as error:
            raise PromptError(f"the prompt {name!r} needs a value for ${error.args[0]}") from error

    def raw(self, name: str) -> str:
        """The file of a prompt as it is, with its version and $placeholders.

        Raises:
            PromptError: there is no such prompt.
        """
        self._text(name)
        return self._file(name).read_text(encoding="utf-8-sig").strip()

    def question(self, system: str, text: str, answer: type, shown: Sequence[Shown] = ()) -> Prompt:
        """What a model is asked, which answers with a value of that type."""
        schema = schema_of(answer)
        return Prompt(
            system=system,
            messages=(Message("user", text),),
            schema=schema,
            shape=self.render("shape", schema=json.dumps(schema, separators=(",", ":"))),
            shown=tuple(shown),
        )

    def check(self, *names: str) -> None:
        """Find out whether these can be filled, before anything is asked.

        Raises:
            PromptError: one of them cannot; see `render`.
        """
        for name in names:
            self._text(name)

    def own(self, *names: str) -> list[str]:
        """Those of the prompts that the user has replaced."""
        return [name for name in names if self._mine(name)]

    def strays(self) -> list[str]:
        """Files in the user's folder that are called nearly as a prompt, and are none."""
        from difflib import get_close_matches

        names = self.names()
        mine = sorted(self._folder.iterdir()) if self._folder else ()
        return [
            file.name
            for file in mine
            if file.suffix in TEXTS
            and file.name.removesuffix(".md") not in names
            and get_close_matches(file.stem.casefold(), names, 1, ALIKE)
        ]

    def version(self, *names: str) -> str:
        """Which versions these are, as `critic 1, updater 1`; +hash marks a file of the user's."""
        return ", ".join(f"{name} {self._version(name)}" for name in names)

    def _version(self, name: str) -> str:
        text, version = _read(self._file(name))
        mark = f"+{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        return version + mark if self._mine(name) else version

    def _file(self, name: str) -> Traversable:
        return self._mine(name) or _ours() / f"{name}.md"

    def _mine(self, name: str) -> Path | None:
        file = self._folder and self._folder / f"{name}.md"
        return file if file and file.is_file() else None

    def _text(self, name: str) -> str:
        names = self.names()
        if name not in names:
            raise PromptError(f"there is no prompt {name[:60]!r}: it is one of {', '.join(names)}")
        text, _ = _read(self._file(name))
        if mine := self._mine(name):
            ours, _ = _read(_ours() / f"{name}.md")
            _check(mine, Template(text), Template(ours).get_identifiers())
        return text


def _read(file: Traversable) -> tuple[str, str]:
    """A file's text without its version, and the version."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"the prompt {file} cannot be read as UTF-8 text: mend it") from error
    found = VERSION.match(text)
    return (text[found.end() :], found[1]) if found else (text, "0")


def _check(file: Path, template: Template, expected: Sequence[str]) -> None:
    if not template.is_valid():
        raise PromptError(f"the prompt {file} has a $ that names nothing: write it as $$")
    found = template.get_identifiers()
    if missing := [f"${name}" for name in expected if name not in found]:
        raise PromptError(f"the prompt {file} lacks {', '.join(missing)}: put it where it belongs")
    if unknown := [f"${name}" for name in found if name not in expected]:
        raise PromptError(
            f"the prompt {file} has {', '.join(unknown)}, which nothing fills: "
            "take it out, or write the $ as $$"
        )
