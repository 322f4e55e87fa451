"""What the training does without a teacher: texts held out, spans, the file of vectors."""

import contextlib
import gzip
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from flex_mcp.search import safetensors
from flex_mcp.search.encoder import Encoder

with contextlib.suppress(ImportError):  # older ones start a process at their first import
    importlib.import_module("scipy.sparse")

TRAINING = Path(__file__).parents[1] / "training"
TASK = "count the integers below one hundred that are prime"


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "texts")


@pytest.fixture
def student(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("scipy", reason="scipy comes with the extra `training`")
    return _script(monkeypatch, "student")


@pytest.fixture
def bags(student: ModuleType) -> ModuleType:
    return importlib.import_module("bags") if student else student


def _script(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    return importlib.import_module(name)


def test_a_text_that_shares_eight_words_with_the_held_out_ones_is_dropped_and_counted(
    texts: ModuleType,
) -> None:
    out = texts.held_out([TASK])
    eight = "Please COUNT the integers: below one hundred, that are odd."
    seven = "Please count the integers below one hundred that end in one."
    kept, dropped = texts.keep([eight, seven, seven], out)
    assert (kept, dropped) == ([seven], 1)


def test_a_short_held_out_text_is_dropped_whole_and_not_as_a_part(texts: ModuleType) -> None:
    out = texts.held_out(["where is my card"])
    kept, dropped = texts.keep(["Where is my card?", "where is my card, I ask"], out)
    assert (kept, dropped) == (["where is my card, I ask"], 1)


def test_every_string_of_the_held_out_folders_is_held_out(
    texts: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"id": "a", "notes": {"hidden": [TASK]}}))
    assert texts.held_out(texts.everything([tmp_path])).holds(TASK)


def test_texts_are_read_from_every_kind_of_file(texts: ModuleType, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({"source": "s", "text": "packed"}) + "\n")
    (tmp_path / "b.jsonl").write_text('{"text": "a line"}\n{"text": "another"}\n')
    (tmp_path / "c.md").write_text("one\nparagraph\n\nand another\n")
    (tmp_path / "d.bin").write_bytes(b"\xff")
    found = [text.strip() for text in texts.read(tmp_path)]
    assert found == ["packed", "a line", "another", "one\nparagraph", "and another"]


def test_spans_are_short_pieces_of_their_texts_and_the_same_each_time(texts: ModuleType) -> None:
    text = "The first sentence is short. " + "Then come many words " * 20
    spans = texts.spans([text, text + "more"])
    assert "The first sentence is short." in spans
    assert all(span in text + "more" for span in spans)
    assert all(3 <= len(span.split()) <= 25 for span in spans)
    assert len(set(spans)) == len(spans)
    assert texts.spans([text, text + "more"]) == spans


def test_the_product_reads_what_is_written_within_the_rounding(
    student: ModuleType, tmp_path: Path
) -> None:
    rows = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    rows[7] = 0
    path = tmp_path / "vectors.safetensors"
    student.write(path, rows, {"version": "9"})
    arrays, about = safetensors.read(path)
    again, notes = student.read(path)
    assert about == notes == {"version": "9"}
    restored = arrays["vectors"] * arrays["scales"][:, None]
    assert np.array_equal(restored, again)
    assert np.all(np.abs(restored - rows) <= np.abs(rows).max(axis=1, keepdims=True) / 254 + 1e-6)


def test_distillation_brings_the_student_near_its_teacher(
    student: ModuleType, bags: ModuleType
) -> None:
    chance = np.random.default_rng(1)
    hidden = chance.normal(size=(60, 16)).astype(np.float32)
    words = [f"{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(60)]
    picked: list[list[int]] = [chance.choice(60, 5, replace=False).tolist() for _ in range(512)]
    texts = [" ".join(words[at] for at in ids) for ids in picked]
    targets = student.unit(np.stack([hidden[ids].sum(axis=0) for ids in picked]))
    made = student.tokenizer(texts)
    counts = bags.bags(made, texts)
    first = chance.normal(size=(made.get_vocab_size(), 16)).astype(np.float32)
    how = student.Distillation(passes=40, batch=128, rate=0.2, temperature=0.2)
    trained = student.distil(first, counts, targets.astype(np.float16), how)

    def agreed(rows: NDArray[np.float32]) -> float:
        vectors: NDArray[np.float32] = student.unit(counts.sums(rows))
        others: NDArray[np.float32] = 9 * np.eye(len(vectors), dtype=np.float32)
        mine, wanted = vectors @ vectors.T - others, targets @ targets.T - others
        return float((np.argmax(mine, axis=1) == np.argmax(wanted, axis=1)).mean())

    assert agreed(trained) > agreed(first) + 0.3


@pytest.mark.process
def test_the_product_encodes_as_the_model_that_was_trained(
    monkeypatch: pytest.MonkeyPatch, student: ModuleType, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `training`")
    training = _script(monkeypatch, "encoder")
    rows, _ = student.read(training.VECTORS / "vectors.safetensors")
    torch.manual_seed(1)
    model = training.Encoder(rows, 48)
    (tmp_path / "vectors").mkdir()
    training.write(tmp_path / "vectors" / "encoder.safetensors", model, "0", "nobody")

    def files(_: str) -> Path:
        return tmp_path

    monkeypatch.setattr("flex_mcp.search.encoder.files", files)
    product = Encoder()
    for length in (1, 20, product.window):
        ids = np.random.default_rng(length).integers(1, len(rows), length).tolist()
        with torch.no_grad():
            filled_up = torch.tensor([ids + [0] * (product.window - length)])
            expected = model(filled_up)[0].numpy()
        read, words = np.split(product.encode(ids), [48])
        assert expected @ read / np.linalg.norm(read) > 0.999
        assert words @ rows[ids].sum(axis=0) / np.linalg.norm(rows[ids].sum(axis=0)) > 0.7


def test_a_short_text_is_paired_with_the_text_that_it_is_of(texts: ModuleType) -> None:
    text = "The first sentence is short. " + "Then come many words and more of them " * 20
    pairs = texts.pairs([text] * 50)
    for long, short in pairs:
        bare = next(
            (short.removeprefix(one) for one in texts.OPENINGS if short.startswith(one)), short
        )
        assert bare in long
        assert len(long.split()) <= texts.LONGEST
    assert len({long for long, _ in pairs}) > 1
    assert texts.pairs([text] * 50) == pairs
