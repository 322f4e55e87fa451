"""Tokens: what is kept of a text, and how alike two texts are, token by token."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flex_mcp.search.token_match import LONGEST, tokens

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
QUERY = "How do I undo the last commit?"
NEAR = "Revert a change that was committed."
FAR = "Roast the potatoes in goose fat."


def likeness(query: str, *texts: str) -> list[float]:
    known = tokens()
    return known.likeness(query, [known.kept("", text) for text in texts])


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
    scores = likeness(query, *texts)
    assert len(scores) == len(texts)
    assert all(0 <= score <= 3.201 for score in scores)


def test_a_text_is_as_like_itself_as_can_be() -> None:
    same, other = likeness(QUERY, QUERY, FAR)
    assert same == pytest.approx(2.8, abs=1e-3)
    assert other < same


def test_the_order_of_the_texts_changes_no_score() -> None:
    texts = [NEAR, "", FAR, QUERY]
    scores = dict(zip(texts, likeness(QUERY, *texts), strict=True))
    for order in itertools.permutations(texts):
        assert likeness(QUERY, *order) == pytest.approx([scores[text] for text in order])


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
    assert likeness(QUERY, "", NEAR)[0] == 0
    assert likeness("", NEAR, FAR) == [0, 0]
    assert likeness(QUERY) == []


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
    known = tokens()
    titled = known.kept("Revert a commit", "It takes a while.")
    untitled = known.kept("It takes a while", "Revert a commit.")
    first, second = known.likeness(QUERY, [titled, untitled])
    assert first > second
