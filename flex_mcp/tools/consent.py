"""A person's yes to what no model may decide: serving a lesson that is held back."""

from typing import NamedTuple, Protocol


class Consent(NamedTuple):
    """What is asked of a person.

    `key` names the experience as it was shown, so that a yes holds for nothing else; `what` begins
    the sentence of a refusal, `command` does it by hand.
    """

    key: str
    text: str
    what: str
    command: str


class ConsentPending(Exception):
    """The reply comes with a later run."""

    def __init__(self, consent: Consent) -> None:
        super().__init__(consent.key)
        self.consent = consent


class Person(Protocol):
    """Whoever may say yes."""

    def agree(self, consent: Consent) -> None:
        """Return where the person said yes.

        Raises:
            ConsentPending: the person must be asked first.
            InputError: the person said no, or cannot be asked; the sentence says what to do.
        """
        ...
