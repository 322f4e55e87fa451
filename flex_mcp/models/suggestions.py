"""Suggestions: what in a library is worth a person's look, and why."""

from dataclasses import dataclass

from flex_mcp.models.vocabulary import Word


class Concern(Word):
    """Why experiences are worth a look, the most urgent first.

    `quarantined`: held back until a person approves it. `contradicts`, `same` and `near`: two that
    say the opposite, the same, or nearly the same. `harmful`: named harmful, and not more often
    helpful. `never_helpful`: served often, and never named, where others are. `never_served`: here
    for long, and no search found it.
    """

    QUARANTINED = "quarantined"
    CONTRADICTS = "contradicts"
    SAME = "same"
    NEAR = "near"
    HARMFUL = "harmful"
    NEVER_HELPFUL = "never_helpful"
    NEVER_SERVED = "never_served"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An experience that is worth a look, or two, the older one first."""

    concern: Concern
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """What is worth a look, the most urgent first; pairs of all but those that wait for it.

    `uncompared` counts the active experiences that came or changed since pairs were last found.
    """

    found: tuple[Suggestion, ...]
    uncompared: int
