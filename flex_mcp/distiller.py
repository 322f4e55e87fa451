"""The distiller: trajectories in, lessons out.

Pure functions make the question (`briefing`); a road puts it to a model. The road here is the
brief: the calling assistant is the model, gets the question as the answer of `distill`, and sends
its lessons through `save_lessons`.
"""

from collections.abc import Sequence

from flex_mcp.briefing import TRAJECTORIES, Distillation, fitted, grouped
from flex_mcp.errors import InputError
from flex_mcp.library import Library
from flex_mcp.models import new_id

NEIGHBOURS = 8  # experiences that a brief shows
ATTEMPTS = 5  # when other processes claim the same trajectories at the same time


class Distiller:
    """Works on a library by the brief."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def distill(
        self, trajectory_ids: Sequence[str] | None = None, *, limit: int = TRAJECTORIES
    ) -> Distillation:
        """A brief about the trajectories named, or the pending ones; it claims them.

        Raises:
            NotFoundError: a trajectory that is named is not here.
            InputError: all those named are distilled, or claimed by another brief.
            EmbedderError: the lessons could not be placed now.
        """
        self._library.check_embedder()
        for _ in range(ATTEMPTS):
            found = self._library.claimable(trajectory_ids)
            if not found:
                return Distillation(road="assistant", question=None, remaining=0)
            chosen = grouped(found)[: min(limit, TRAJECTORIES)]
            texts = [f"{one.task}\n{one.feedback or ''}" for one in chosen]
            neighbours = self._library.neighbours(texts, limit=NEIGHBOURS)
            question = fitted(new_id("b"), chosen, neighbours)
            ids = [one.id for one in question.trajectories]
            if self._library.open_brief(question.brief_id, ids, question.text):
                remaining = self._library.remaining()
                return Distillation(road="assistant", question=question, remaining=remaining)
        raise InputError("other processes take the same trajectories: call distill again")
