"""The comparison with other stores and its texts: our own rows, and what happens without peers."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.fakes import LESSONS

pytestmark = pytest.mark.process

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Sixty made-up texts: two lessons each, so that there are sentences to recombine."""
    file = tmp_path / "texts.jsonl"
    pairs = [f"{one} {other}" for one in LESSONS for other in LESSONS if one != other]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in pairs), encoding="utf-8")
    return file


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("corpus")


def run(texts: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    file = texts.with_name("results.json")
    sizes = ("--sizes", "40", "--queries", "10")
    command = [sys.executable, str(BENCHMARKS / "peers.py"), str(texts), *sizes, *options]
    command += ["--json", str(file)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text(encoding="utf-8"))["rows"]


def test_ours_is_measured_without_any_peer_and_its_vectors_are_exact(texts: Path) -> None:
    printed, rows = run(texts, "--only")
    assert [row["store"] for row in rows] == ["flex-mcp, vectors alone", "flex-mcp"]
    alone, whole = rows
    assert alone["recall"] == alone["filtered recall"] == 1.0
    for row in rows:
        assert row["texts"] == 40
        assert min(row[name] for name in ("build s", "MB", "p50", "filtered p50")) > 0
    assert whole["recall"] is None
    assert "flex-mcp, vectors alone" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="its environment is a shell script")
def test_a_peer_that_cannot_run_is_told_with_its_reason_and_stops_nothing(
    texts: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "lancedb==0.40.0"  # where our own packages are, and not this one
    (environment / "bin").mkdir(parents=True)
    (environment / "installed").touch()
    python = environment / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    peers = ("lancedb, flat", "lancedb, HNSW")
    printed, rows = run(texts, "--only", *peers, "--cache", str(tmp_path))
    assert [row["store"] for row in rows][1:] == ["flex-mcp", *peers]
    for row in rows[2:]:
        assert "No module named 'lancedb'" in row["reason"]
        assert f"{row['store']}, 40 texts, cannot run: {row['reason']}" in printed


def test_a_corpus_begins_with_the_smaller_ones_and_goes_on_beyond_its_file(
    corpus: Any, texts: Path
) -> None:
    large = list(corpus.documents(texts, 300))
    assert len(set(large)) == 300
    assert list(corpus.documents(texts, 20)) == large[:20]
    own = {json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines()}
    assert 20 < len(own & set(large)) < len(own)
    assert {corpus.lesson(text, number).domain for number, text in enumerate(large)} == set(
        corpus.DOMAINS
    )


def test_queries_are_long_different_and_made_of_texts_that_the_corpus_lacks(
    corpus: Any, texts: Path
) -> None:
    queries = corpus.queries(texts, 50)
    assert len(set(queries)) == 50
    assert {40 <= len(query.split()) <= 60 for query in queries} == {True}
    assert not set(queries) & set(corpus.documents(texts, 300))
