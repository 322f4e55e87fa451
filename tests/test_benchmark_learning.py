"""The benchmark of learning, on a stream of a handful of made-up experiences."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

LEARNING = Path(__file__).parents[1] / "benchmarks" / "learning.py"
STREAM = {
    "card_arrival": [
        "I am still waiting for my new card",
        "my card has not arrived in the mail",
        "how long until the card I ordered is here",
        "when will the ordered card be delivered",
    ],
    "Refund?": [
        "please give me my money back for the order",
        "I want a refund of my purchase",
        "the shop owes me a refund",
        "how do I get the money back that I paid",
    ],
}
QUERIES = [
    ("where is the new card that I ordered", "card_arrival"),
    ("I want my money back, a refund please", "Refund?"),
    ("soak the beans overnight before cooking", "oos"),
]


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    folder = tmp_path / "made_up"
    folder.mkdir()
    documents = [(text, label) for label, texts in STREAM.items() for text in texts]
    documents.append(documents[0])
    for name, texts in (("corpus", documents), ("queries", QUERIES)):
        lines = [
            json.dumps({"id": str(number), "text": text, "label": label}) + "\n"
            for number, (text, label) in enumerate(texts)
        ]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def run(folder: Path, *options: str) -> list[dict[str, Any]]:
    file = folder / "results.json"
    command = [sys.executable, str(LEARNING), str(folder), "--json", str(file), *options]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text(encoding="utf-8"))
    assert results["goals"] == []  # those are for the public streams
    return results["rows"]


def test_what_is_learned_is_the_same_through_both_doors_and_an_heir_need_not_learn_it(
    made_up: Path,
) -> None:
    rows = run(made_up)
    lives = [(row["agent"], row["a label"], row["door"]) for row in rows]
    first = [("first", size, "Library") for size in (1, 3)]
    assert lives == [
        *first,
        ("first", "all", "MCP"),
        ("first", "all", "Library"),
        *((agent, own, "Library") for agent in ("newcomer", "heir") for own in (0, 1, 3)),
    ]
    found = dict(zip(lives, rows, strict=True))
    whole = found["first", "all", "Library"]
    assert whole == found["first", "all", "MCP"] | {"door": "Library"}
    assert (whole["accuracy"], whole["experiences"], whole["known"]) == (1.0, 8, 1)
    assert whole["oos silent"] == 1.0
    assert found["newcomer", 0, "Library"]["nothing_relevant"] == 1.0
    assert found["newcomer", 0, "Library"]["accuracy"] == 0.0
    inherited, left = found["heir", 0, "Library"], found["first", 1, "Library"]
    assert inherited["experiences"] == left["experiences"] == 2
    assert inherited["accuracy"] == left["accuracy"] > 0


def test_its_picture_is_the_same_every_time_and_names_neither_day_nor_place(made_up: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `benchmarks` is not installed")
    pictures: list[str] = []
    for name in ("one.svg", "two.svg"):
        run(made_up, "--svg", str(made_up / name))
        pictures.append((made_up / name).read_text(encoding="utf-8"))
    assert pictures[0] == pictures[1]
    assert "dc:date" not in pictures[0]
    assert str(made_up) not in pictures[0]
