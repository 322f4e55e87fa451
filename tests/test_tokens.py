"""Tokens: what is kept of a text, and how alike two texts are, token by token."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flex_mcp.models import Level, Snapshot, Zone
from flex_mcp.search.text import indexed_text
from flex_mcp.search.token_match import (
    ASKED,
    BESIDE,
    HEADING,
    HEADING_ASKED,
    HEADING_TOLD,
    LONGEST,
    PARTS,
    TOLD,
    tokens,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
QUERY = "How do I undo the last commit?"
NEAR = "Revert a change that was committed."
FAR = "Roast the potatoes in goose fat."


def parts(query: str, *texts: tuple[str, str]) -> list[list[float]]:
    """The parts of the likeness of texts with a heading each."""
    known = tokens()
    rows = known.likeness(query, [known.kept(heading, text) for heading, text in texts])
    assert rows.shape == (len(texts), len(PARTS))
    return rows.tolist()


def weighed(rows: list[list[float]]) -> list[float]:
    return [sum(share * part for share, part in zip(PARTS, row, strict=True)) for row in rows]


def likeness(query: str, *texts: str) -> list[float]:
    return weighed(parts(query, *(("", text) for text in texts)))


def test_a_token_fits_in_two_bytes() -> None:
    assert len(tokens()._rows) <= 1 << 16  # pyright: ignore[reportPrivateUsage]


@given(TEXTS, TEXTS)
def test_what_is_kept_are_the_tokens_of_title_and_text_in_their_order(
    title: str, text: str
) -> None:
    count, *kept = np.frombuffer(tokens().kept(title, text), np.uint16).tolist()
    assert kept[:count] == tokens().of(title)
    assert kept[count:] == tokens().of(text)


def test_other_words_of_one_meaning_are_nearer_than_a_foreign_text() -> None:
    near, far = likeness(QUERY, NEAR, FAR)
    assert near > far


@given(TEXTS, st.lists(TEXTS, max_size=5))
def test_likeness_lies_between_nothing_and_identity(query: str, texts: list[str]) -> None:
    rows = parts(query, *itertools.pairwise(["", *texts]))
    assert len(rows) == len(texts)
    for *shares, heading in rows:
        assert all(0 <= share <= 1.001 for share in shares)
        assert -1.001 <= heading <= 1.001
    assert all(0 <= score <= 3.201 for score in weighed(rows))


def test_a_text_is_as_like_itself_as_can_be() -> None:
    same, other = likeness(QUERY, QUERY, FAR)
    assert same == pytest.approx(2.8, abs=1e-3)
    assert other < same
    in_heading, told = parts(QUERY, (QUERY, ""), (NEAR, QUERY))
    assert in_heading == pytest.approx([1] * len(PARTS), abs=1e-3)
    assert told[ASKED] == pytest.approx(1, abs=1e-3)
    assert all(told[part] < 0.99 for part in (TOLD, HEADING_ASKED, HEADING_TOLD, HEADING))


def test_what_is_asked_and_what_is_told_count_each_by_itself() -> None:
    more, less = parts("undo a commit", ("", f"undo a commit. {FAR}"), ("", "undo"))
    assert more[ASKED] == pytest.approx(1, abs=1e-3)
    assert less[TOLD] == pytest.approx(1, abs=1e-3)
    assert more[TOLD] < 0.99
    assert less[ASKED] < 0.99
    assert more[BESIDE] == pytest.approx(1, abs=1e-3)
    assert less[BESIDE] == 0


def test_a_heading_counts_by_itself_and_a_text_without_one_has_none() -> None:
    with_one, without = parts(QUERY, (NEAR, FAR), ("", f"{NEAR} {FAR}"))
    of_heading = [HEADING_ASKED, HEADING_TOLD, HEADING]
    assert all(with_one[part] > 0.1 for part in of_heading)
    assert [without[part] for part in of_heading] == [0, 0, 0]
    assert without[ASKED] == pytest.approx(with_one[ASKED], abs=1e-3)


def test_the_heading_of_a_lesson_is_its_title_and_when_it_applies() -> None:
    lesson = Snapshot(
        zone=Zone.GOLDEN, level=Level.PATTERN, title="Undo it", when="A commit is bad", lesson=FAR
    )
    kept = indexed_text(lesson)
    assert kept.tokens == tokens().kept("Undo it\nA commit is bad", FAR)
    assert kept.version == tokens().layout != tokens().version


def test_the_order_of_the_texts_changes_no_score() -> None:
    texts = [(NEAR, FAR), ("", ""), ("", FAR), (QUERY, NEAR)]
    rows = dict(zip(texts, parts(QUERY, *texts), strict=True))
    for order in itertools.permutations(texts):
        for row, text in zip(parts(QUERY, *order), order, strict=True):
            assert row == pytest.approx(rows[text], abs=1e-6)


def test_what_every_text_says_counts_less_than_what_few_say() -> None:
    query = "install numpy on windows"
    among = ["numpy on linux", *(f"windows {word}" for word in ("tools", "fonts", "drivers"))]
    assert (
        likeness(query, "numpy guide", "windows guide", *among)[0]
        > likeness(
            query, "numpy guide", "windows guide", "windows", "numpy tools", "numpy fonts", "numpy"
        )[0]
    )


def test_an_empty_text_is_like_nothing() -> None:
    nothing = [0.0] * len(PARTS)
    assert parts(QUERY, ("", ""), ("", NEAR))[0] == nothing
    assert parts("", ("", NEAR), (NEAR, FAR)) == [nothing, nothing]
    assert parts(QUERY, ("", ""), ("", "")) == [nothing, nothing]
    assert parts(QUERY) == []


def test_of_a_long_query_the_telling_tokens_are_compared() -> None:
    filler = " ".join(f"{one}{other}" for one, other in itertools.product("abcdefghij", repeat=2))
    long = f"{filler} {QUERY}"
    assert len(set(tokens().of(long))) > LONGEST
    near, far = likeness(long, NEAR, FAR)
    assert near > far


def test_a_query_of_thousands_of_tokens_takes_no_memory_for_each_two_of_them() -> None:
    query = ",".join(map(chr, (*range(0x21, 0x600), *range(0x4E00, 0x9FA0))))
    known = tokens()
    number = len({*known.of(query)})
    kept = [known.kept("", query)]
    known.likeness(query, kept)
    tracemalloc.start()
    try:
        known.likeness(query, kept)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number > 1_000
    assert peak < 6 * number * number  # bytes


def test_words_that_stand_together_count_where_they_do_in_the_text_too() -> None:
    together, apart = likeness(
        "machine learning course", "a machine learning book", "learning a book on a machine"
    )
    assert together > apart


def test_a_title_counts_more_than_the_rest() -> None:
    titled, untitled = "Revert a commit", "It takes a while"
    first, second = weighed(parts(QUERY, (titled, untitled), (untitled, titled)))
    assert first > second
