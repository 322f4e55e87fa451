"""Prompts: Markdown files with $placeholders, shipped in the wheel and found in a checkout."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from flex_mcp.errors import PromptError


def _folder() -> Traversable:
    """`flex_mcp/_prompts` of a wheel; an editable install has none and uses the checkout's."""
    packaged = files("flex_mcp") / "_prompts"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "prompts"


def render(name: str, /, **values: str) -> str:
    """A prompt with its placeholders filled.

    Raises:
        PromptError: there is no such prompt, or a placeholder has no value.
    """
    file = _folder() / f"{name}.md"
    if not file.is_file():
        raise PromptError(f"there is no prompt {name!r}: reinstall flex-mcp")
    try:
        return Template(file.read_text(encoding="utf-8")).substitute(values).strip()
    except KeyError as error:
        raise PromptError(f"the prompt {name!r} needs a value for ${error.args[0]}") from error
