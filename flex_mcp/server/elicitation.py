"""A person's yes, by form elicitation: what the calling model may not decide itself."""

from typing import Any

from mcp.server.mcpserver import Context
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult

from flex_mcp.errors import InputError
from flex_mcp.server.client_requests import Question, Replies, Unanswered, can_be_asked
from flex_mcp.tools.consent import Consent, ConsentPending

AGREE = "agree"
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        AGREE: {
            "type": "boolean",
            "title": "Yes, serve this lesson",
            "description": "Only if you have read it and want assistants to work by it.",
            "default": False,
        }
    },
    "required": [AGREE],
}


class AskedPerson:
    """Whoever sits before the client: what was replied is given, anything else comes later."""

    def __init__(self, replies: Replies, *, reachable: bool) -> None:
        self._replies = replies
        self._reachable = reachable

    def agree(self, consent: Consent) -> None:
        if not self._reachable:
            raise InputError(
                f"{consent.what} needs a person's yes, and your client cannot ask for it: "
                f"let the person run `{consent.command}`"
            )
        if consent.key not in self._replies:
            raise ConsentPending(consent)
        reply = self._replies[consent.key]
        if isinstance(reply, ElicitResult) and _agrees(reply):
            return
        why = reply.why if isinstance(reply, Unanswered) else ""
        raise InputError(
            f"{consent.what} needs a person's yes, and the person did not give it{why}: "
            f"nothing was changed; `{consent.command}` does it by hand"
        )


def _agrees(reply: ElicitResult) -> bool:
    return reply.action == "accept" and (reply.content or {}).get(AGREE) is True


def person(context: Context[Any, Any], replies: Replies) -> AskedPerson:
    """The person before the client; reachable where it offers forms and can be asked."""
    offered = context.client_capabilities and context.client_capabilities.elicitation
    forms = offered is not None and (offered.form is not None or offered.url is None)
    return AskedPerson(replies, reachable=forms and can_be_asked(context))


def question(consent: Consent) -> Question:
    params = ElicitRequestFormParams(message=consent.text, requested_schema=FORM)
    return Question(consent.key, ElicitRequest(params=params), ElicitResult)
