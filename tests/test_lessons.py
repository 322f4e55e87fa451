"""Where a lesson goes: added, merged, discarded, in the place of another, or refused."""

import unicodedata
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import LESSONS, Clock, a_lesson, a_trajectory, add, ids, one, record

from flex_mcp.errors import InputError, NotFoundError
from flex_mcp.library.briefs import NewBrief
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Action,
    Curation,
    DecisionKind,
    Level,
    Origin,
    Relation,
    RevisionKind,
    Status,
    TrajectoryState,
    Zone,
    new_id,
)
from flex_mcp.models.identity import identical_form


def test_a_malformed_lesson_is_refused_alone(quick: Library) -> None:
    good = {"zone": "golden", "level": "pattern", "title": "T", "when": "", "lesson": "fine"}
    decisions = quick.apply(
        [
            good,
            good | {"title": "x" * 121},
            good | {"zone": "gold"},
            {"title": "x"},
            good | {"colour": "red"},
            a_lesson("another one"),
        ]
    )
    assert [one.index for one in decisions] == list(range(6))
    assert [one.decision for one in decisions] == [
        DecisionKind.ADD,
        *[DecisionKind.REFUSED] * 4,
        DecisionKind.ADD,
    ]
    assert [one.reason for one in decisions[1:5]] == [
        "title has 121 characters; the limit is 120: shorten it",
        "zone cannot be 'gold'; it is one of: golden, warning, mixed",
        "zone, level, when, lesson are missing: give them too",
        (
            "there is no argument 'colour'; it takes zone, level, title, when, lesson, "
            "examples, domain, project, tags, action, into, reason, trajectory_ids"
        ),
    ]
    assert quick.statistics().experiences == 2


@pytest.mark.parametrize("action", [None, Action.ADD])
def test_a_lesson_that_is_identical_after_folding_is_discarded_with_its_evidence(
    quick: Library, action: Action | None
) -> None:
    first = record(quick, "one")
    (added,) = quick.apply([a_lesson("Prefer the finest filter")], evidence=[first])
    again = record(quick, "two")
    copy = a_lesson(
        "  prefer the  finest\nFILTER ", title="PREFER the finest filter ", action=action
    )
    (decision,) = quick.apply([copy], evidence=[again])
    assert decision.decision is DecisionKind.DISCARD
    assert decision.experience_id == added.experience_id
    assert decision.reason == "identical text"
    experience = one(quick, added.experience_id)
    assert experience.evidence == (first, again)
    assert experience.lesson == "Prefer the finest filter"
    assert quick.statistics().experiences == 1


APART = [  # each lost the second lesson where case and NFKC were folded
    ("Delete the branch with git branch -d", "Delete the branch with git branch -D"),
    ("Match with \\d+ in the pattern", "Match with \\D+ in the pattern"),
    ("Format with %m in strftime", "Format with %M in strftime"),
    ("Keep batches under 10\u2076 rows", "Keep batches under 106 rows"),
    ("Write x\u00b2 into the formula", "Write x2 into the formula"),
    ("Label the flask H\u2082O", "Label the flask H2O"),
    ("Put the target into Makefile", "Put the target into makefile"),
    ("Makefile targets need a tab", "makefile targets need a tab"),
    ("Read the README first", "Read the readme first"),
    ("Set strict to TRUE", "Set strict to true"),
    ("Read the field `Content` first", "Read the field `content` first"),
    ("Write the service in Go", "Write the service in go"),
    ("Add the folder to PATH", "Add the folder to path"),
    ("Take option A of the form", "Take option a of the form"),
    ("Keep the upload under 5 MB", "Keep the upload under 5 Mb"),
    ("Expect a load of 3 mW", "Expect a load of 3 MW"),
    ("Search for \uff21\uff30\uff29 in the text", "Search for API in the text"),
    ("Begin with step \u2460 of the list", "Begin with step 1 of the list"),
    ("Replace the ligature of o\ufb03ce", "Replace the ligature of office"),
    ("Cut the dose to \u00bd of it", "Cut the dose to 1\u20442 of it"),
    ("Note the Ma\u00dfe of the room", "Note the Masse of the room"),
    ("mode: Strict is what the server needs", "mode: strict is what the server needs"),
]
ONE = [
    ("Run The Tests first", "run the tests  first"),
    ("RUN THE TESTS IN THE IMAGE FIRST", "Run the tests in the image first"),
    ("Never push to main. Always ask.", "NEVER push to main.\n\nALWAYS ask. "),
    ("Do not push (it is late)", "Do NOT push (it is late)"),
    ("- Don't wait for the cache", "- don't wait for the CACHE"),
    ("Reserve a caf\u00e9 early", "reserve a cafe\u0301 early"),
    ("Keep the\u00a0page narrow", "Keep the page\u2003narrow"),
    ("A cache helps here", "a cache helps here"),
]


@pytest.mark.parametrize("action", [None, Action.ADD])
@pytest.mark.parametrize(("one", "other"), APART)
def test_lessons_that_differ_in_what_carries_meaning_are_two(
    library: Library, one: str, other: str, action: Action | None
) -> None:
    first, second, *again = library.apply(
        [a_lesson(text, action=action) for text in (one, other, one, other)]
    )
    assert [first.decision, second.decision] == [DecisionKind.ADD] * 2
    assert [known.experience_id for known in again] == [first.experience_id, second.experience_id]
    assert {experience.lesson for experience in library.experiences()} == {one, other}


@pytest.mark.parametrize(("one", "other"), ONE)
def test_lessons_that_differ_in_how_prose_is_written_are_one(
    quick: Library, one: str, other: str
) -> None:
    for texts in ((one, other), (other, one)):
        decisions = quick.apply([a_lesson(text, action=Action.ADD) for text in texts])
        assert decisions[1].decision is DecisionKind.DISCARD
        assert len(quick.experiences()) == 1


@given(st.text(st.sampled_from('aBé -`."(1\n'), max_size=30))
def test_white_space_and_unicode_form_tell_nothing(text: str) -> None:
    spaced = "  ".join(unicodedata.normalize("NFD", text).split(" ")) + "\n"
    assert identical_form(spaced) == identical_form(text)
    assert identical_form(identical_form(text)) == identical_form(text)


def test_an_identical_text_of_another_zone_or_level_is_no_copy(quick: Library) -> None:
    add(
        quick,
        a_lesson("the same"),
        a_lesson("the same", zone=Zone.WARNING),
        a_lesson("the same", level=Level.PRINCIPLE),
    )


def test_an_identical_lesson_in_one_call_is_discarded_too(quick: Library) -> None:
    decisions = quick.apply([a_lesson("the same"), a_lesson("the same")])
    assert [one.decision for one in decisions] == [DecisionKind.ADD, DecisionKind.DISCARD]


def test_a_copy_of_a_retired_lesson_is_discarded_and_says_so(quick: Library) -> None:
    (old,) = add(quick, a_lesson())
    quick.curate(old, Curation.RETIRE, reason="stale")
    (decision,) = quick.apply([a_lesson()])
    assert decision.decision is DecisionKind.DISCARD
    assert f"{old} is retired" in (decision.reason or "")


def test_a_near_identical_lesson_is_discarded(library: Library) -> None:
    (old,) = add(library, a_lesson(LESSONS[0]))
    (decision,) = library.apply(
        [a_lesson("Pin the compiler version in the build image before the release.")]
    )
    assert (decision.decision, decision.experience_id) == (DecisionKind.DISCARD, old)
    assert (decision.reason or "").startswith("near-identical text")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "Retry the upload to the package index at most 3 times before the release stops.",
            "Retry the upload to the package index at most 5 times before the release stops.",
        ),
        (
            "Retry the upload to the package index in the release job when the network is slow.",
            "Never retry the upload to the package index in the release job when the network is slow.",
        ),
        (
            "In the release job you can retry the upload to the package index on a slow network.",
            "In the release job you can't retry the upload to the package index on a slow network.",
        ),
    ],
)
def test_a_near_identical_lesson_is_kept_when_a_number_or_a_negation_differs(
    library: Library, old: str, new: str
) -> None:
    (first,) = add(library, a_lesson(old, title="Uploads"))
    (decision,) = library.apply([a_lesson(new, title="Uploads")])
    assert decision.decision is DecisionKind.ADD
    assert [candidate.id for candidate in decision.candidates] == [first]
    assert decision.candidates[0].likeness > 0.6


def test_a_near_identical_lesson_is_kept_when_it_asks_to_be_added(library: Library) -> None:
    (old,) = add(library, a_lesson(LESSONS[0]))
    near = a_lesson(
        "Pin the compiler version in the build image before the release.", action=Action.ADD
    )
    (decision,) = library.apply([near])
    assert decision.decision is DecisionKind.ADD
    assert [candidate.id for candidate in decision.candidates] == [old]


RESTATED = "Check the final answer against all the conditions that were given, always."


def test_a_lesson_that_restates_another_says_which(library: Library) -> None:
    (old,) = add(library, a_lesson("Always check the final answer against the conditions given."))
    (decision,) = library.apply([a_lesson(RESTATED)])
    assert decision.decision is DecisionKind.ADD
    assert decision.reason == (
        f"{old} is near: look whether it gives the same advice; if so, merge the new one into it "
        f"(curate_experience: merge, into {old})"
    )


def test_a_lesson_that_asks_to_be_added_is_not_questioned(library: Library) -> None:
    add(library, a_lesson("Always check the final answer against the conditions given."))
    (decision,) = library.apply([a_lesson(RESTATED, action=Action.ADD)])
    assert (decision.decision, decision.reason) == (DecisionKind.ADD, None)


def test_a_far_lesson_has_no_candidates(library: Library) -> None:
    add(library, a_lesson(LESSONS[0]))
    (decision,) = library.apply([a_lesson(LESSONS[5])])
    assert decision.candidates == ()


CHECKED = "Always check the final answer against the conditions given."


def test_what_is_near_is_shown_across_levels_and_zones(library: Library) -> None:
    (old,) = add(library, a_lesson(CHECKED, level=Level.PRINCIPLE, zone=Zone.WARNING))
    (decision,) = library.apply([a_lesson(RESTATED)])
    (near,) = decision.candidates
    assert (near.id, near.level, near.zone) == (old, Level.PRINCIPLE, Zone.WARNING)
    assert (near.relation, near.text) == (Relation.NEAR, CHECKED)


def test_the_same_text_of_another_level_is_shown_as_the_same_and_kept(library: Library) -> None:
    (old,) = add(library, a_lesson(CHECKED, level=Level.PRINCIPLE))
    (decision,) = library.apply([a_lesson(CHECKED)])
    assert decision.decision is DecisionKind.ADD
    assert [(near.id, near.relation) for near in decision.candidates] == [(old, Relation.SAME)]
    assert f"curate_experience: merge, into {old}" in (decision.reason or "")


def test_opposites_are_never_called_the_same_advice(library: Library) -> None:
    (old,) = add(library, a_lesson("Retry the upload in the release job on a slow network."))
    new = a_lesson("Never retry the upload in the release job on a slow network.")
    (decision,) = library.apply([new])
    assert [near.relation for near in decision.candidates] == [Relation.CONTRADICTS]
    assert (decision.reason or "").startswith(f"{old} contradicts it")


# Without a brief


def test_lessons_without_work_are_told(quick: Library) -> None:
    (decision,) = quick.apply([a_lesson("Mind the gap.")], client="somebody")
    (told,) = quick.get([decision.experience_id or ""])
    assert (told.origin, told.priority, told.evidence) == (
        Origin(kind="told", by="somebody"),
        3,
        (),
    )


DOUBTFUL = "[//]: # (for later) Sort the table."  # held back from outside only


def test_what_is_told_is_screened_as_from_outside_unless_a_person_typed_it(
    quick: Library,
) -> None:
    (decision,) = quick.apply([a_lesson(DOUBTFUL)], typed=True)
    assert quick.get([decision.experience_id or ""])[0].status is Status.ACTIVE
    (decision,) = quick.apply([a_lesson(f"{DOUBTFUL} Soon.")])
    assert quick.get([decision.experience_id or ""])[0].status is Status.QUARANTINED


def test_lessons_of_trajectories_make_these_distilled_once_one_is_accepted(
    quick: Library,
) -> None:
    ids = [quick.record(a_trajectory(task)).trajectory_id for task in ("one", "two")]
    refused = a_lesson(action=Action.MERGE, into="e_nothere")
    quick.apply([refused], evidence=ids)
    states = [one.state for one in quick.trajectories(ids)]
    assert states == [TrajectoryState.PENDING] * 2
    (decision,) = quick.apply([a_lesson("Learnt from both.")], evidence=ids)
    (made,) = quick.get([decision.experience_id or ""])
    assert (made.evidence, made.origin.kind) == (tuple(ids), "distilled")
    assert {one.state for one in quick.trajectories(ids)} == {TrajectoryState.DISTILLED}
    assert quick.briefs.remaining() == 0


def test_lessons_of_a_trajectory_that_a_brief_claims_are_refused(quick: Library) -> None:
    id_ = quick.record(a_trajectory("one")).trajectory_id
    brief = quick.briefs.open(NewBrief(id=new_id("b"), trajectory_ids=[id_]))
    assert brief is not None
    with pytest.raises(InputError, match=f"{id_} is claimed by {brief.id}"):
        quick.apply([a_lesson()], evidence=[id_])
    assert quick.statistics().experiences == 0


def test_a_merge_unites_examples_tags_and_evidence_and_keeps_the_old_text_in_history(
    quick: Library, clock: Clock
) -> None:
    first, second = record(quick, "one"), record(quick, "two")
    (added,) = quick.apply(
        [a_lesson("old text", examples=("a", "b"), tags=("x",), domain="d")], evidence=[first]
    )
    clock.advance(hours=1)
    merge = a_lesson(
        "condensed text",
        examples=("b", "c"),
        tags=("x", "y"),
        action=Action.MERGE,
        into=added.experience_id,
        reason="they say one thing",
        level=Level.PRINCIPLE,
    )
    (decision,) = quick.apply([merge], evidence=[second], client="editor")
    assert (decision.decision, decision.experience_id) == (DecisionKind.MERGE, added.experience_id)
    merged = one(quick, added.experience_id)
    assert (merged.lesson, merged.level, merged.domain) == ("condensed text", Level.PRINCIPLE, "d")
    assert (merged.examples, merged.tags) == (("a", "b", "c"), ("x", "y"))
    assert (merged.evidence, merged.revision) == ((first, second), 2)
    assert (merged.updated_at, merged.created_at) == (clock.time, clock.time - timedelta(hours=1))
    revision = quick.history(merged.id)[-1]
    assert (revision.kind, revision.actor) == (RevisionKind.MERGE, "editor")
    assert (revision.reason, revision.trajectory_id) == ("they say one thing", second)
    assert revision.before is not None
    assert (revision.before.lesson, revision.before.evidence) == ("old text", (first,))
    assert revision.after.lesson == "condensed text"
    assert ids(quick.search("condensed", abstain=False)) == [merged.id]


def test_a_merge_over_the_limit_of_characters_is_refused_and_changes_nothing(
    quick: Library,
) -> None:
    (old,) = add(quick, a_lesson())
    before = one(quick, old)
    (decision,) = quick.apply([a_lesson("x" * 4_001, action=Action.MERGE, into=old)])
    assert decision.decision is DecisionKind.REFUSED
    assert decision.reason == (
        "the merged lesson has 4,001 characters; the limit of a merge is 4,000: condense both into one"
    )
    assert one(quick, old) == before
    (at_the_limit,) = quick.apply([a_lesson("x" * 4_000, action=Action.MERGE, into=old)])
    assert at_the_limit.decision is DecisionKind.MERGE


def test_a_merge_over_the_limit_of_examples_is_refused_unless_they_are_condensed(
    quick: Library,
) -> None:
    (old,) = add(quick, a_lesson(examples=tuple("abcde")))
    merge = a_lesson("both", action=Action.MERGE, into=old)
    (decision,) = quick.apply([replace(merge, examples=tuple("fghi"))])
    assert decision.decision is DecisionKind.REFUSED
    assert "together they have 9 examples; the limit of a merge is 8" in (decision.reason or "")
    (decision,) = quick.apply([replace(merge, examples=("a", *"fghi"))])
    assert decision.decision is DecisionKind.MERGE
    assert one(quick, old).examples == ("a", *"fghi")


def test_supersede_retires_the_old_experience_and_links_it(quick: Library) -> None:
    (old,) = add(quick, a_lesson("use the old way"))
    lesson = a_lesson("use the new way", action=Action.SUPERSEDE, into=old, reason="it broke")
    (decision,) = quick.apply([lesson])
    assert decision.decision is DecisionKind.SUPERSEDE
    new = one(quick, decision.experience_id)
    assert new.id != old
    gone = one(quick, old)
    assert (gone.status, gone.superseded_by) == (Status.RETIRED, new.id)
    assert quick.history(old)[-1].kind is RevisionKind.SUPERSEDE
    assert ids(quick.search("use the way", abstain=False)) == [new.id]


def test_discard_into_an_experience_counts_the_evidence_there(quick: Library) -> None:
    (old,) = add(quick, a_lesson())
    trajectory = record(quick)
    lesson = a_lesson("something else", action=Action.DISCARD, into=old, reason="known")
    (decision,) = quick.apply([lesson], evidence=[trajectory])
    assert (decision.decision, decision.experience_id) == (DecisionKind.DISCARD, old)
    assert decision.reason == "known"
    assert one(quick, old).evidence == (trajectory,)
    assert one(quick, old).lesson == a_lesson().lesson
    (decision,) = quick.apply([lesson], evidence=[trajectory])
    assert decision.decision is DecisionKind.DISCARD
    assert one(quick, old).revision == 2, "evidence that is known already changes nothing"


@pytest.mark.parametrize("action", [Action.MERGE, Action.DISCARD, Action.SUPERSEDE])
def test_an_action_on_an_experience_must_name_one_that_is_here(
    quick: Library, action: Action
) -> None:
    reason = "why"
    decisions = quick.apply(
        [
            a_lesson(action=action, reason=reason),
            a_lesson(action=action, into="e_no", reason=reason),
        ]
    )
    assert [one.decision for one in decisions] == [DecisionKind.REFUSED] * 2
    assert decisions[0].reason == f"{action} needs `into`: the id of an experience"
    assert "there is no experience 'e_no'" in (decisions[1].reason or "")
    assert quick.statistics().experiences == 0


def test_a_supersede_without_a_reason_is_refused(quick: Library) -> None:
    (old,) = add(quick, a_lesson())
    (decision,) = quick.apply([a_lesson("new", action=Action.SUPERSEDE, into=old)])
    assert decision.decision is DecisionKind.REFUSED
    assert "supersede needs `reason`" in (decision.reason or "")
    assert quick.statistics().experiences == 1


@pytest.mark.parametrize("action", [Action.MERGE, Action.SUPERSEDE])
def test_a_retired_experience_takes_no_merge(quick: Library, action: Action) -> None:
    (old,) = add(quick, a_lesson())
    quick.curate(old, Curation.RETIRE, reason="stale")
    (decision,) = quick.apply([a_lesson("new", action=action, into=old, reason="why")])
    assert decision.decision is DecisionKind.REFUSED
    assert f"{old} is retired" in (decision.reason or "")


def test_a_lesson_names_only_trajectories_of_its_call(quick: Library) -> None:
    first, second, stranger = (record(quick, task) for task in ("one", "two", "three"))
    decisions = quick.apply(
        [
            a_lesson("a lesson of one", trajectory_ids=(second,)),
            a_lesson("of a stranger", trajectory_ids=(second, stranger)),
            a_lesson("some lesson about all of them"),
        ],
        evidence=[first, second],
    )
    kinds = [decision.decision for decision in decisions]
    assert kinds == [DecisionKind.ADD, DecisionKind.REFUSED, DecisionKind.ADD]
    assert f"names {stranger}, which is none of {first}, {second}" in (decisions[1].reason or "")
    assert one(quick, decisions[0].experience_id).evidence == (second,)
    assert one(quick, decisions[2].experience_id).evidence == (first, second)


def test_lessons_from_a_trajectory_that_is_not_here_are_refused(quick: Library) -> None:
    with pytest.raises(NotFoundError, match="there is no trajectory t_nobody"):
        quick.apply([a_lesson()], evidence=["t_nobody"])
    assert quick.statistics().experiences == 0


def test_a_retry_after_a_merge_does_not_bring_the_old_text_back(quick: Library) -> None:
    work, given = a_trajectory("Build the wheel"), a_lesson("walk the dog")
    first = quick.record(work, lessons=[given]).decisions[0].experience_id
    quick.apply([a_lesson("walk the dog at noon", action=Action.MERGE, into=first)])
    (again,) = quick.record(work, lessons=[given]).decisions
    assert (again.decision, again.experience_id) == (DecisionKind.DISCARD, first)
    assert len(quick.experiences()) == 1


def test_a_copy_is_known_again_beside_one_that_differs_in_the_case_of_code(quick: Library) -> None:
    texts = ["Delete the branch with -d", "Delete the branch with -D", "Delete the branch with -D"]
    decisions = quick.apply([a_lesson(text, action=Action.ADD) for text in texts])
    assert [one.decision for one in decisions] == [
        *[DecisionKind.ADD] * 2,
        DecisionKind.DISCARD,
    ]
