"""What full-text search finds: every word of a text in each of its forms, identifiers whole and in
parts, text without spaces.
"""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.fakes import LESSONS, a_lesson, add, ids, one

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import Filter
from flex_mcp.search.candidates import Search, candidates
from flex_mcp.search.folding import folded
from flex_mcp.search.text import expand_for_index, query_words
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


FORMS = {
    "กรุณาตรวจสอบรหัสผ่านก่อนเริ่มบริการ": ["รหัสผ่าน", "ตรวจสอบ", "บริการ"],
    "ປ່ຽນລະຫັດຜ່ານກ່ອນເຂົ້າລະບົບ": ["ລະຫັດຜ່ານ", "ລະບົບ"],
    "រក្សាទុកឯកសារមុនពេលបិទកម្មវិធី": ["ឯកសារ", "កម្មវិធី"],
    "ဖိုင်ကိုသိမ်းဆည်းပြီးမှပိတ်ပါ": ["ဖိုင်", "သိမ်းဆည်း"],
    "Wait for \uff21\uff30\uff29 on port \uff18\uff10\uff18\uff10": ["API", "8080"],
    "ガイドを読む": ["ガイド", unicodedata.normalize("NFD", "ガイド")],
    "\uff83\uff9e\uff70\uff80を保存": ["データ"],
    "The o\ufb03ce has o\ufb03cial hours": ["office", "official"],
    "Prüfe die Größe der Datei": ["Groesse", "Grösse", "GRÖSSE", "Größe"],
    "Die Straße ist gesperrt": ["Strasse", "STRASSE", "Straße"],
    "đăng nhập trước khi sửa": ["dang nhap", "đăng nhập"],
    "Popraw błąd w pliku": ["blad", "BŁĄD"],
    "Gerðu það strax": ["thad", "það"],
    "Faites un nœud ici": ["noeud", "NŒUD"],
    "Önce sıfırlayın": ["sifirlayin", "sıfırlayın"],
    "Lay the smørrebrød out": ["smorrebrod", "smoerrebroed"],
    "Write an encyclopædia entry": ["encyclopaedia"],
    "Release 🚀 on Monday": ["🚀"],
    "Show 📈 on the page": ["📈"],
    "Mark it ✅ when done, ❌ else": ["✅", "❌"],
    "Beware ⚠️ of loops": ["⚠", "⚠️"],
    "Give 👍🏽 to the author": ["👍", "👍🏿"],
    "Ask 👩‍💻 before lunch": ["👩‍💻", "💻"],
    "Ship to 🇩🇪 alone": ["🇩🇪"],
}
SCRIPTS = st.text(
    st.sampled_from("aZ 1ßđæıĄệÖως𝔸Ａ８ﬃｶﾞガ数ร้หัสລະខ្មែမြန်🚀✅👍🏽é\u0301"), max_size=20
)


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with open_library(tmp_path_factory.mktemp("forms") / "library.db") as library:
        add(library, *(a_lesson(text) for text in (*FORMS, *LESSONS)))
        yield library


@pytest.mark.parametrize(
    ("text", "word"), [(text, word) for text, words in FORMS.items() for word in words]
)
def test_a_word_is_served_in_whatever_form_it_is_asked_for(
    forms: Library, text: str, word: str
) -> None:
    (best, *_) = ids(forms.search(word))
    assert one(forms, best).lesson == text


@pytest.mark.parametrize("word", ["🎂", "🇫🇷", "อาหารกลางวัน", "ຝົນຕົກ", "မိုးရွာ", "Bäume"])
def test_a_word_that_no_lesson_holds_finds_nothing(forms: Library, word: str) -> None:
    assert forms.search(word).hits == ()


@given(SCRIPTS)
@example("\uff21\u0301")
def test_folding_again_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(SCRIPTS)
def test_the_forms_of_a_text_are_one(text: str) -> None:
    assert folded(unicodedata.normalize("NFD", text)) == folded(text)
    assert folded(unicodedata.normalize("NFC", text)) == folded(text)


@given(SCRIPTS, st.sampled_from([word for words in FORMS.values() for word in words]))
def test_a_word_of_any_script_finds_the_texts_that_hold_it(
    store: SqliteStore, text: str, word: str
) -> None:
    with store.reading() as reading:
        held = reading.words.stems(expand_for_index(f"{text} {word} {text}"))
        asked = reading.words.stems(query_words(word))
    assert asked
    assert asked <= held


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_ascii_stays_as_it_is(text: str) -> None:
    assert folded(text) == text
    assert expand_for_index(text) == query_words(text)
    assert expand_for_index(text).startswith(text)


def test_an_index_of_an_earlier_version_finds_what_it_did_and_all_after_a_reindex(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = "Die Straße sperren", "Send 🚀 upwards", *LESSONS
    with open_library(tmp_path / "library.db") as library:
        with monkeypatch.context() as earlier:
            earlier.setattr("flex_mcp.search.text.expand_for_index", str)
            street, rocket, *_ = add(library, *map(a_lesson, texts))
        assert ids(library.search("Straße")) == [street]
        assert ids(library.search("🚀")) == []
        (new,) = add(library, a_lesson("Die Straße fegen"))
        assert {*ids(library.search("Straße", abstain=False, limit=2))} == {street, new}
        library.reindex()
        assert {*ids(library.search("Strasse", abstain=False, limit=2))} == {street, new}
        assert ids(library.search("🚀")) == [rocket]
