"""One contract for every embedder, the fake one included."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import FakeEmbedder

from flex_mcp import open_library
from flex_mcp.cli.main import main
from flex_mcp.errors import EmbedderError
from flex_mcp.search import background, baseline, safetensors
from flex_mcp.search.embedder import (
    Embedder,
    OurEmbedder,
    StaticEmbedder,
    check_name,
    chunks,
    load,
)

VECTORS = Path(background.__file__).parent / "vectors"
MINILM = "fastembed:sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module", params=["fake", "ours", "static", MINILM])
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    match request.param:
        case "fake":
            return FakeEmbedder()
        case "ours":
            return OurEmbedder()
        case "static":
            return StaticEmbedder()
        case name:
            shared: Path = request.getfixturevalue("shared")
            folder = shared / "data" / "models" / "all-MiniLM-L6-v2"
            if not folder.is_dir():
                pytest.skip(f"{folder} is not here")
            return load(name, cache=tmp_path_factory.mktemp("cache"), folder=folder)


def cosine(one: bytes, other: bytes) -> float:
    return float(np.frombuffer(one, np.float32) @ np.frombuffer(other, np.float32))


def test_a_query_is_a_unit_vector_of_the_said_dimension(embedder: Embedder) -> None:
    vector = np.frombuffer(embedder.query("parse the date in UTC"), np.float32)
    assert vector.shape == (embedder.vectors.dimension,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_passage_is_a_list_of_unit_vectors(embedder: Embedder) -> None:
    texts = ["short", "a text of some words", "word " * 1000]
    passages = embedder.passages(texts)
    assert len(passages) == len(texts)
    assert len(passages[0]) == len(passages[1]) == 1
    for passage in passages:
        assert passage
        for chunk in passage:
            vector = np.frombuffer(chunk, np.float32)
            assert vector.shape == (embedder.vectors.dimension,)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_passages_are_no_vectors(embedder: Embedder) -> None:
    assert embedder.passages([]) == []


def test_a_text_has_one_vector_whenever_and_beside_whatever_it_is_embedded(
    embedder: Embedder,
) -> None:
    text = "retry the request with a growing delay"
    assert embedder.query(text) == embedder.query(text)
    ((alone,),) = embedder.passages([text])
    _, (in_company,) = embedder.passages(["another and rather longer text " * 5, text])
    assert cosine(alone, in_company) > 0.99


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "。", "🦜", "ⅷ\u200b"])
def test_a_text_that_says_nothing_is_a_unit_vector_or_all_zero(
    embedder: Embedder, text: str
) -> None:
    ((passage,),) = embedder.passages([text])
    for vector in (embedder.query(text), passage):
        values = np.frombuffer(vector, np.float32)
        assert values.shape == (embedder.vectors.dimension,)
        assert np.isfinite(values).all()
        assert not values.any() or np.linalg.norm(values) == pytest.approx(1, abs=1e-5)


def test_a_near_text_is_nearer_than_a_far_one(embedder: Embedder) -> None:
    query = embedder.query("how to pin the compiler version in a build image")
    (near,), (far,) = embedder.passages(
        [
            "Pin the compiler version in the build image before a release.",
            "Substitute the hyperbolic angle, then integrate by parts.",
        ]
    )
    assert cosine(query, near) > cosine(query, far) + 0.2


def test_the_figures_of_an_embedder_are_in_order(embedder: Embedder) -> None:
    assert 0 < embedder.related < embedder.near_duplicate <= 1


def test_ours_gives_a_heading_a_vector_of_its_own() -> None:
    ours, heading = OurEmbedder(), "Pin the compiler version\nyou make a build image"
    ((_, of_heading),) = ours.passages([f"{heading}\nBefore each release."], [heading])
    assert cosine(of_heading, ours.query(heading)) > 0.9999


def test_ours_reads_a_long_text_to_its_end() -> None:
    ours, beginning = OurEmbedder(), "The committee met on Tuesday and approved the minutes. " * 40
    asked = ours.query("restore the database from a backup")
    with_it, without = (
        ours.passages([f"{beginning} {end}"])[0][-1]
        for end in ("Then the database was restored from a backup. " * 20, beginning)
    )
    assert cosine(asked, with_it) > cosine(asked, without) + 0.2
    assert len(ours.passages([beginning * 4])[0]) > 5


def test_ours_reads_words_in_context() -> None:
    ours = OurEmbedder()
    plant, money = "the bank of the river was flooded", "the bank refused the loan"
    query = ours.query("the credit institution said no to lending")
    assert cosine(query, ours.query(money)) > cosine(query, ours.query(plant)) + 0.1


def test_the_package_holds_what_ours_makes_of_the_generic_queries() -> None:
    """Otherwise run training/generic.py."""
    ours = OurEmbedder()
    held = baseline.generic(ours, None)
    for place in range(0, len(held), 40):
        vector = np.frombuffer(ours.query(background.generic_queries()[place]), np.float32)
        assert held[place] @ vector > 0.999
    arrays, about = safetensors.read(VECTORS / "generic.safetensors")
    assert about["maker"] == baseline.maker(ours)
    assert len(arrays["vectors"]) == len(background.generic_queries())


def test_what_the_package_holds_for_vectors_is_small() -> None:
    assert sum(file.stat().st_size for file in VECTORS.iterdir()) < 12.5e6


@given(st.text(st.sampled_from("ab \n"), max_size=60), st.integers(1, 5))
def test_chunks_hold_all_words_in_order_and_none_is_over_the_window(text: str, window: int) -> None:
    pieces = chunks(text, window)
    assert pieces
    assert [word for piece in pieces for word in piece.split()] == text.split()
    assert all(len(piece.split()) <= window for piece in pieces)


@pytest.mark.parametrize("name", ["nonsense", "fastembed:", "Static", ""])
def test_an_embedder_that_cannot_be_is_refused_with_those_that_can(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(EmbedderError, match="ours, static or fastembed:MODEL"):
        load(name, cache=tmp_path)


def test_a_model_that_fastembed_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="knows no model 'acme/embed'"):
        load("fastembed:acme/embed", cache=tmp_path)


def test_a_folder_without_the_models_files_is_refused_with_what_must_be_in_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(EmbedderError, match=r"FLEX_MCP_EMBEDDER_PATH.*model\.onnx"):
        load(MINILM, cache=tmp_path / "cache", folder=tmp_path)


def test_a_model_that_is_not_here_is_not_fetched_unasked(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"not on this machine: run `flex-mcp embedder use"):
        load(MINILM, cache=tmp_path)


def test_where_fastembed_is_missing_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)
    with pytest.raises(EmbedderError) as refused:
        load(MINILM, cache=tmp_path)
    assert str(refused.value) == (
        "fastembed cannot be imported here: install flex-mcp again with all that it depends on, "
        "or set FLEX_MCP_EMBEDDER=ours and run `flex-mcp reindex`"
    )


@pytest.mark.parametrize(
    "command", [["search", "x"], ["reindex"], ["reindex", "--embedder", MINILM]]
)
def test_on_an_intel_mac_with_a_python_that_is_too_new_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    open_library(tmp_path / "library.db").close()
    monkeypatch.setitem(sys.modules, "fastembed", None)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    too_new = SimpleNamespace(version_info=(3, 14), stderr=sys.stderr)
    monkeypatch.setattr("flex_mcp.search.embedder.sys", too_new)
    if "--embedder" not in command:
        monkeypatch.setenv("FLEX_MCP_EMBEDDER", MINILM)
    result = CliRunner().invoke(main, [*command, "--library", str(tmp_path / "library.db")])
    assert result.exit_code == 2
    assert result.stderr == (
        "flex-mcp: fastembed does not run on a Mac with an Intel processor under Python 3.14 or newer, "
        "for which there is no ONNX Runtime: take Python 3.11 to 3.13, "
        "or set FLEX_MCP_EMBEDDER=ours and run `flex-mcp reindex`\n"
    )


@pytest.mark.parametrize("name", ["ours", "static", "fastembed:BAAI/bge-small-en-v1.5"])
def test_an_embedder_is_built_in_or_a_model_of_fastembed(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["openai", "fastembed", "fastembed:", "static:small", "STATIC"])
def test_another_embedder_is_refused_with_the_ones_there_are(name: str) -> None:
    with pytest.raises(EmbedderError) as refused:
        check_name(name)
    assert str(refused.value) == (
        f"there is no embedder {name!r}: set FLEX_MCP_EMBEDDER to ours, static or fastembed:MODEL, "
        "such as fastembed:BAAI/bge-small-en-v1.5, and run `flex-mcp reindex`"
    )
