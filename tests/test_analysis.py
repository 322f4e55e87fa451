"""What full-text search finds: every word of a text, identifiers whole and in parts, CJK text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import a_lesson, add

from flex_mcp import open_library
from flex_mcp.models import Filter
from flex_mcp.search.candidates import Search, candidates
from flex_mcp.search.text import expand_for_index
from flex_mcp.storage.protocol import Term
from flex_mcp.storage.sqlite.store import SqliteStore

WORDS = st.text(st.sampled_from("aZbY01_./:-'(éß 如何데이タグ"), max_size=40)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SqliteStore:
    path = tmp_path_factory.mktemp("analysis") / "library.db"
    with open_library(path) as library:
        add(
            library,
            a_lesson("Call getUserName only after the session is open."),
            a_lesson("Read src/app/main.py and set_max_depth before a change."),
            a_lesson("ORA-00942 means that the view is missing."),
            a_lesson("修复数据库连接时先关闭游标。"),
            a_lesson("データベースの接続を閉じる。"),
            a_lesson("Soak the beans overnight."),
        )
    return SqliteStore(path)


def found(store: SqliteStore, query: str) -> list[str]:
    with store.reading() as reading:
        ids = candidates(reading, Search(text=query, wanted=Filter(), limit=5)).scores
        return [experience.lesson for experience in reading.experiences.get(list(ids))]


@pytest.mark.parametrize(
    ("query", "lesson"),
    [
        ("getUserName", "getUserName"),
        ("get_user_name", "getUserName"),
        ("a user's session", "getUserName"),
        ("main.py", "src/app/main.py"),
        ("src/app/main.py", "src/app/main.py"),
        ("setMaxDepth", "set_max_depth"),
        ("depth", "set_max_depth"),
        ("ORA00942", "ORA-00942"),
        ("数据库", "修复数据库连接"),
        ("如何修复连接", "修复数据库连接"),
        ("接続", "データベースの接続"),
        ("库", "修复数据库连接"),
    ],
)
def test_words_find_identifiers_whole_and_in_parts_and_text_without_spaces(
    store: SqliteStore, query: str, lesson: str
) -> None:
    assert lesson in found(store, query)[0]


@given(WORDS)
def test_every_word_of_a_text_is_found_by_itself(store: SqliteStore, text: str) -> None:
    with store.reading() as reading:
        held = reading.words.stems(expand_for_index(text))
        for word in text.split():
            assert reading.words.stems(expand_for_index(word)) <= held


@given(WORDS)
def test_nothing_that_the_tokenizer_finds_is_lost(text: str) -> None:
    signs = set(filter(str.isalnum, text))
    assert signs <= set(expand_for_index(text))


@given(st.text(st.sampled_from("abc de.,!"), max_size=40).map(str.strip))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert expand_for_index(text.replace(".", " ")) == text.replace(".", " ")


def test_a_term_is_counted_where_it_is_a_part(store: SqliteStore) -> None:
    with store.reading() as reading:
        assert Term("User", "user", 1) in reading.words.terms(expand_for_index("getUserName"))
