"""The demonstration: the main job, in real processes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flex_mcp import open_library
from flex_mcp.demo import demo
from flex_mcp.demo.demo import data, run_demo
from flex_mcp.errors import InputError


@pytest.mark.process
def test_it_runs_from_end_to_end_and_keeps_the_library(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "[new].db"
    (tmp_path / "types.py").write_text("raise SystemExit('a project ran')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "flex_mcp", "demo", "--json", "--library", str(file)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    scenario = data("scenario.json")
    assert seen["failures"] == []
    assert {one["decision"] for one in seen["decisions"]} == {"add"}
    assert set(scenario["expected"].values()) <= {hit["title"] for hit in seen["found"]["hits"]}
    assert seen["unrelated"]["nothing_relevant"]
    assert seen["config"]["mcpServers"]["flex-mcp"]["args"][-1] == "serve"
    assert str(file) in done.stderr.replace("\n", "")
    with open_library(file) as library:
        kept = {one.title for one in library.experiences()}
        assert kept == {one["title"] for one in data("lessons.json")["lessons"]}
        assert library.statistics().by_state == {"distilled": 2}


@pytest.mark.process
def test_what_does_not_go_as_it_should_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"expected": {"title": "A lesson that nobody wrote"}}
    noise = {"unrelated_task": data("scenario.json")["next_task"]}
    failures = [
        "the expected title was not served: A lesson that nobody wrote",
        "an unrelated task was not answered by nothing_relevant",
    ]

    def changed(name: str) -> Any:
        return data(name) | missing | noise if name == "scenario.json" else data(name)

    monkeypatch.setattr(demo, "data", changed)
    assert run_demo(None, as_json=True) == "; ".join(failures)
    assert json.loads(capsys.readouterr().out)["failures"] == failures


@pytest.mark.process
def test_a_lesson_that_is_refused_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(name: str) -> Any:
        return data(name) if name != "trajectories.json" else [data(name)[0] | {"task": ""}]

    monkeypatch.setattr(demo, "data", changed)
    failure = run_demo(None) or ""
    assert failure.startswith("record_trajectory was refused: task is empty")
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_that_is_there_already_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.db"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.db is there already: .* needs a new file"):
        run_demo(str(file))
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "name", ["README.md", "lessons.json", "scenario.json", "trajectories.json"]
)
def test_the_data_hold_no_path_of_one_machine(name: str) -> None:
    text = (Path(demo.__file__).parent / "data" / name).read_text(encoding="utf-8")
    assert not re.search(r"(/(home|root|Users|tmp|var|work|private|opt)/|[A-Z]:\\)", text)
