"""The demonstration's trajectories and lessons, and the prompts about them as a model gets them."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from flex_mcp.learning import briefing, critic, updater
from flex_mcp.learning.llm import WINDOW
from flex_mcp.learning.prompts import Prompts
from flex_mcp.models import (
    Experience,
    Lesson,
    Origin,
    RecordedTrajectory,
    Trajectory,
    TrajectoryState,
    values_of,
)
from flex_mcp.models.briefs import Prompt
from flex_mcp.validation import checked

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def data(name: str) -> Any:
    """A file of the demonstration's data."""
    return json.loads((files("flex_mcp.demo") / "data" / name).read_text(encoding="utf-8"))


def prompt(prompts: Prompts, name: str) -> str:
    """A prompt, filled with the demonstration's trajectories and lessons.

    Raises:
        PromptError: there is no such prompt, or its file cannot be used.
    """
    made = {
        "critic": lambda: _critic(prompts).system,
        "critic_question": lambda: _critic(prompts).messages[0].text,
        "updater_question": lambda: _updater(prompts),
        "brief": lambda: _brief(prompts).text,
        "instructions": lambda: _brief(prompts).instructions,
        "again": lambda: prompts.render("again", problem="lesson 0: title is empty"),
        "solve_with_experience": lambda: prompts.render(
            "solve_with_experience",
            task=f"> {_trajectories()[0].task}",
            found="The library was searched for it and holds nothing that fits.",
            retrieval="",
        ),
        "reflect": lambda: prompts.render("reflect", about=""),
        "review_library": lambda: prompts.render(
            "review_library", scope="", suggestions="- e_… and e_…: say the opposite of each other"
        ),
        "shape": lambda: _critic(prompts).shape,
    }
    return made.get(name, lambda: prompts.render(name))()


def _critic(prompts: Prompts) -> Prompt:
    return critic.question(prompts, _trajectories(), WINDOW)


def _updater(prompts: Prompts) -> str:
    asked = updater.question(prompts, _lessons()[:1], [_experiences()], WINDOW)
    return asked.messages[0].text if asked else ""


def _brief(prompts: Prompts) -> briefing.Question:
    return briefing.fitted(prompts, "b_example22222", _trajectories(), _experiences())


def _trajectories() -> list[RecordedTrajectory]:
    return [
        RecordedTrajectory(
            **values_of(checked(Trajectory, one), Trajectory),
            id=f"t_example{number:05d}",
            key="example",
            state=TrajectoryState.PENDING,
            recorded_at=WHEN,
        )
        for number, one in enumerate(data("trajectories.json"))
    ]


def _lessons() -> list[Lesson]:
    return [checked(Lesson, one) for one in data("lessons.json")["lessons"]]


def _experiences() -> list[Experience]:
    fields = ("zone", "level", "title", "when", "lesson", "examples")
    return [
        Experience(
            **{name: getattr(one, name) for name in fields},
            id=f"e_example{number:05d}",
            origin=Origin(kind="distilled", by="the demonstration"),
            revision=1,
            created_at=WHEN,
            updated_at=WHEN,
        )
        for number, one in enumerate(_lessons()[1:3])
    ]
