"""A model that answers when it is let, for what happens to a server meanwhile."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from support.messages_api import critic_and_updater, lesson, messages_api
from support.patience import PATIENCE


class Model:
    """`settings` make it a server's model, which is `asked`, and answers when it is `let`."""

    def __init__(self) -> None:
        self.asked, self.let = threading.Event(), threading.Event()
        self.settings: dict[str, str] = {}

    def answer(self, _: str) -> list[dict[str, Any]]:
        self.asked.set()
        assert self.let.wait(PATIENCE)
        return [lesson()]


@contextmanager
def held_model() -> Generator[Model]:
    made = Model()
    with messages_api(critic_and_updater(made.answer)) as api:
        made.settings = {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_BASE_URL": api.url}
        try:
            yield made
        finally:
            made.let.set()
