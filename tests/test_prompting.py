"""Prompts: found, filled, and never half-filled."""

import re
from pathlib import Path

import pytest

from flex_mcp.errors import PromptError
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import Action, Level, Zone

PROMPTS = Path(__file__).parents[1] / "prompts"
BRIEF = ("brief_id", "instructions", "trajectories", "neighbours", "domains")


def test_a_prompt_is_filled_with_every_value() -> None:
    text = Prompts().render("brief", **{name: f"the {name}" for name in BRIEF})
    assert all(f"the {name}" in text for name in BRIEF)
    assert text == text.strip()
    assert text.startswith("# Brief the brief_id")


def test_a_value_is_put_in_as_it_is() -> None:
    values = dict.fromkeys(BRIEF, "") | {"trajectories": "$brief_id costs $5 or ${HOME}, \\1 %s {}"}
    assert values["trajectories"] in Prompts().render("brief", **values)


@pytest.mark.parametrize("forgotten", BRIEF)
def test_a_placeholder_without_a_value_is_an_error_that_names_it(forgotten: str) -> None:
    values = {name: "x" for name in BRIEF if name != forgotten}
    with pytest.raises(PromptError, match=rf"the prompt 'brief' needs a value for \${forgotten}$"):
        Prompts().render("brief", **values)


def test_a_prompt_that_is_not_there_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        PromptError, match="there is no prompt 'nothing': it is one of again, brief, critic"
    ):
        Prompts().render("nothing")


@pytest.mark.parametrize("file", sorted(PROMPTS.glob("*.md")), ids=lambda file: file.stem)
def test_every_prompt_can_be_rendered(file: Path) -> None:
    raw = file.read_text(encoding="utf-8")
    names: set[str] = set(re.findall(r"\$(\w+)", raw))
    assert "$" not in Prompts().render(file.stem, **dict.fromkeys(names, "x"))


def test_the_instructions_explain_every_choice_of_a_lesson() -> None:
    model = Prompts().render("critic", attention="") + Prompts().render("updater")
    assistant = Prompts().render("instructions", attention="")
    for choice in (*Zone, *Level, *Action):
        for text in (model, assistant):
            assert re.search(rf"\b{choice}\b", text), choice
