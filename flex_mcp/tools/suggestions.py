"""Suggestions in words: what is worth a look, and why."""

from flex_mcp.models import Concern, Suggestion

WORDS = {
    Concern.QUARANTINED: "is held back until a person approves it",
    Concern.CONTRADICTS: "say the opposite of each other",
    Concern.SAME: "say the same",
    Concern.NEAR: "say nearly the same",
    Concern.HARMFUL: "was named harmful, and not more often helpful",
    Concern.NEVER_HELPFUL: "was served often, and never named helpful",
    Concern.NEVER_SERVED: "is here for 30 days and 50 searches, and none found it",
}


def sentence(one: Suggestion) -> str:
    """What is suggested, by ids."""
    return f"{' and '.join(one.ids)}: {WORDS[one.concern]}"


def uncompared_note(count: int) -> str:
    """That some were not compared yet; empty where all were."""
    if not count:
        return ""
    lessons = "1 lesson is" if count == 1 else f"{count:,} lessons are"
    return f"{lessons} not compared with the others yet: `flex-mcp review` does it"
