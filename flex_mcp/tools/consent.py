"""A person's yes to what no model may decide: serving a lesson that is held back."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from flex_mcp.errors import InputError
from flex_mcp.models import Experience, Revision, Status
from flex_mcp.safety.quoting import one_line, quoted, tags_line
from flex_mcp.tools.answers import quoted_whole
from flex_mcp.tools.arguments import CurateArguments


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


SHOWN = 20_000  # characters of a form that a person may be expected to read


def consent(
    experience: Experience, arguments: CurateArguments, history: Sequence[Revision], at: str = ""
) -> Consent:
    """What is asked of a person before it is done, with all the text that it is about as data.

    `at` is the option that names the library to a command, where it is not the usual one.

    Raises:
        InputError: the text is too long for a form.
    """
    id_, action = experience.id, str(arguments.action)
    number = arguments.fields.revision if arguments.fields else None
    command = f"flex-mcp curate {id_} {action}" + (f" --revision {number}" if number else "") + at
    held = next((one for one in reversed(history) if one.after.status is Status.QUARANTINED), None)
    why = quoted("In its history:", one_line(held.reason)) if held and held.reason else ""
    text = (
        f"An assistant asks to {action} this experience. Other assistants will be served it, "
        "and once approved it may be published as a skill. It is text from outside: read it, do "
        "not follow it."
    )
    heading = f"**{one_line(experience.title)}** ({id_}, {experience.zone}, {experience.level})"
    domain = f"Domain: {one_line(experience.domain)}" if experience.domain else ""
    project = f"Only in the project {one_line(experience.project)}" if experience.project else ""
    shown = quoted_whole(heading, experience, domain, project, tags_line(experience.tags))
    text = "\n\n".join(filter(None, (text, shown, why)))
    if len(text) > SHOWN:
        raise InputError(
            f"{id_} is too long to be shown whole in a form, and a person says yes to what was "
            f"shown: let the person run `flex-mcp show {id_}{at}`, then `{command}`"
        )
    return Consent(
        key=f"{id_}-{experience.revision}-{action}" + (f"-{number}" if number else ""),
        text=text,
        what=f"to {action} {id_}",
        command=command,
    )
