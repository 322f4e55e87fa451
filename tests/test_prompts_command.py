"""`flex-mcp prompts`: each as the model gets it, and those of the user's own folder."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.distilling import Desk, bodies, systems, teaches
from support.messages_api import adds, critic_and_updater, messages_api, question_of

from flex_mcp import open_library
from flex_mcp.cli.main import main
from flex_mcp.demo.examples import data
from flex_mcp.errors import PromptError
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.prompts import Prompts

NAMES = sorted(file.stem for file in (Path(__file__).parents[1] / "prompts").glob("*.md"))
VERSION = "<!-- version"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prompts of the user's own."""
    folder = tmp_path / "my prompts"
    folder.mkdir()
    monkeypatch.setenv("FLEX_MCP_PROMPTS", str(folder))
    return folder


def prompts(*arguments: str) -> str:
    """What `flex-mcp prompts` says when it goes well."""
    result = CliRunner().invoke(main, ("prompts", *arguments), prog_name="flex-mcp")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.strip()


def refused(*arguments: str) -> str:
    """The sentence with which it is refused."""
    result = CliRunner().invoke(main, ("prompts", *arguments), prog_name="flex-mcp")
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.removeprefix("flex-mcp: ").strip()


def record_the_examples(desk: Desk) -> list[str]:
    """The trajectories that the prompts are shown about; their ids."""
    given = json.dumps(data("trajectories.json"))
    recorded = desk.done("record", stdin=given)["recorded"]
    return [one["trajectory_id"] for one in recorded]


def test_list_names_every_prompt_with_its_version() -> None:
    assert prompts("list").splitlines() == [f"{name} {version(name)}" for name in NAMES]
    said = json.loads(prompts("list", "--json"))
    assert list(said["prompts"]) == NAMES


def version(name: str) -> str:
    text = (Path(__file__).parents[1] / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    found = re.match(r"<!-- version (\d+) -->\n", text)
    assert found, name
    return found[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_printed_filled_and_without_its_version_line(name: str) -> None:
    text = prompts("show", name)
    assert text
    assert VERSION not in text
    assert not re.search(r"\$\w", text)
    assert json.loads(prompts("show", name, "--json")) == {
        "name": name,
        "version": f"{name} {version(name)}",
        "text": text,
    }


def test_what_is_printed_is_what_the_model_gets(desk: Desk) -> None:
    ids = record_the_examples(desk)
    with desk.asking(teaches) as api:
        desk.done("distill", *ids)
        desk.pend("Another task")
        desk.done("distill")
        critic, _, updater = bodies(api)
    assert systems(api)[::2] == [prompts("show", "critic"), prompts("show", "updater")]
    question = question_of(critic)
    for number, id_ in enumerate(ids):
        question = question.replace(id_, f"t_example{number:05d}")
    assert question == prompts("show", "critic_question")
    asked, shown = question_of(updater), prompts("show", "updater_question")
    fixed = "Decide on each lesson, by its number, once."
    assert asked[asked.index(fixed) :] == shown[shown.index(fixed) :]


def test_the_brief_that_is_printed_is_the_one_that_an_assistant_gets(desk: Desk) -> None:
    ids = record_the_examples(desk)
    with open_library(desk.path) as library:
        brief = Distiller(library, Prompts()).distill().question
    assert brief
    text = brief.text.replace(brief.brief_id, "b_example22222")
    for number, id_ in enumerate(ids):
        text = text.replace(id_, f"t_example{number:05d}")
    printed, nearest = prompts("show", "brief"), "## Nearest experiences in the library"
    assert text.partition(nearest)[0] == printed.partition(nearest)[0]
    assert brief.instructions == prompts("show", "instructions")


def test_a_prompt_that_is_not_there_is_refused_with_those_that_are() -> None:
    sentence = refused("show", "nothing")
    assert sentence == f"there is no prompt 'nothing': it is one of {', '.join(NAMES)}"


# The user's own


def test_a_file_of_the_users_takes_the_place_of_ours_of_the_same_name(
    desk: Desk, mine: Path
) -> None:
    (mine / "critic.md").write_text(
        "<!-- version 7 -->\nBe brief, s'il vous plaît, for $$5.\n\n$attention\n", encoding="utf-8"
    )
    (mine / "critic_failure.md").write_text("Ask why five times.", encoding="utf-8")
    (mine / "again.md").write_text("No: $problem", encoding="utf-8")
    said = ["Well …"]
    desk.pend("Fall over")
    script = critic_and_updater(lambda question: said.pop() if said else teaches(question), adds)
    with messages_api(script) as api:
        desk.set("ANTHROPIC_API_KEY", "a key")
        desk.set("ANTHROPIC_BASE_URL", api.url)
        desk.done("distill")
    text = "Be brief, s'il vous plaît, for $5.\n\nAsk why five times."
    assert systems(api) == [text, text]
    assert api.requests[1]["messages"][2]["content"].startswith("No: ")
    assert prompts("show", "critic_failure") == "Ask why five times."
    assert prompts("show", "critic").startswith("Be brief, s'il vous plaît, for $5.")
    assert prompts("show", "updater").startswith("You are the updater")


def test_the_version_of_the_users_own_is_in_the_origin_of_what_it_made(
    desk: Desk, mine: Path
) -> None:
    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    (mine / "critic.md").write_text("<!-- version 1 -->\nBe brief. $attention", encoding="utf-8")
    (mine / "updater.md").write_text("Merge all.", encoding="utf-8")
    desk.pend("Fall over")
    with desk.asking(teaches):
        answer = desk.done("distill")
    versions = (
        f"critic 1+{hashed('Be brief. $attention')}, critic_failure 1, "
        f"updater 0+{hashed('Merge all.')}"
    )
    assert answer["prompts"] == versions
    (shown,) = desk.done("show", answer["decisions"][0]["experience_id"])["experiences"]
    assert shown["origin"]["prompts"] == versions
    assert versions.split(", ")[2] in prompts("list").splitlines()
    (mine / "critic_question.md").write_text("$trajectories $domains Be brief.", encoding="utf-8")
    desk.pend("Stand up")
    with desk.asking(teaches):
        also = desk.done("distill")["prompts"]
    assert also == f"{versions}, critic_question 0+{hashed('$trajectories $domains Be brief.')}"


def test_a_byte_order_mark_of_an_editor_is_no_part_of_a_prompt(mine: Path) -> None:
    text = "<!-- version 3 -->\r\nBe brief. $attention"
    (mine / "critic.md").write_text(text, encoding="utf-8-sig", newline="")
    assert prompts("show", "critic").startswith("Be brief.")
    assert "critic 3+" in prompts("list")


def test_other_files_in_the_folder_are_ignored(mine: Path) -> None:
    before = prompts("list")
    (mine / "notes.md").write_text("$nothing $", encoding="utf-8")
    (mine / "critic.md.bak").write_bytes(b"\xff")
    (mine / "updater.md").mkdir()
    (mine / "more").mkdir()
    (mine / "more" / "critic.md").write_text("Be brief.", encoding="utf-8")
    assert prompts("list") == before
    assert prompts("show", "critic").startswith("You are the critic")
    assert "notes" in refused("show", "notes")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("critic", b"Be brief.", "lacks $attention: put it where it belongs"),
        ("again", b"", "lacks $problem: put it where it belongs"),
        (
            "critic",
            b"$attention $attension",
            "has $attension, which nothing fills: take it out, or write the $ as $$",
        ),
        (
            "updater_question",
            b"${lessons} and ${lesson}",
            "has $lesson, which nothing fills: take it out, or write the $ as $$",
        ),
        ("critic", b"$attention for $ 5", "has a $ that names nothing: write it as $$"),
        ("updater", b"Merge \xe9", "cannot be read as UTF-8 text: mend it"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong_with_it(
    mine: Path, name: str, content: bytes, sentence: str
) -> None:
    file = mine / f"{name}.md"
    file.write_bytes(content)
    assert refused("show", name) == f"the prompt {file} {sentence}"


@pytest.mark.parametrize("name", ["critic", "critic_failure", "critic_question", "updater"])
def test_a_distillation_with_such_a_file_ends_at_once_and_all_are_free(
    desk: Desk, mine: Path, name: str
) -> None:
    desk.pend("Fall over", "Stand up")
    with desk.asking(teaches) as api:
        desk.done("distill", "--limit", "1")
        (mine / f"{name}.md").write_text("Cost: $ 5", encoding="utf-8")
        result = desk.run("distill", "--all")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"flex-mcp: the prompt {mine / name}.md has a $ that")
        assert desk.states() == {"distilled": 1, "pending": 1}
        (mine / f"{name}.md").unlink()
        assert desk.done("distill")["remaining"] == 0
        assert len(api.errors) == 0


def a_file(path: Path) -> None:
    path.write_text("no folder", encoding="utf-8")


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize("make", [a_file, nothing])
def test_a_folder_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    place = tmp_path / "mine"
    make(place)
    monkeypatch.setenv("FLEX_MCP_PROMPTS", str(place))
    sentence = f"FLEX_MCP_PROMPTS names {place}, which is no folder: correct it"
    assert refused("list") == refused("show", "critic") == sentence


def test_a_misspelt_file_is_named_by_the_list_and_by_the_doctor(mine: Path) -> None:
    for name in ("critics.md", "critic.txt"):
        (mine / name).write_text("Be brief.", encoding="utf-8")
    listed = prompts("list")
    for name in ("critics.md", "critic.txt"):
        assert f"{name} takes the place of no prompt: rename it" in listed
    assert (
        "critics.md in FLEX_MCP_PROMPTS takes the place of no prompt"
        in CliRunner().invoke(main, "doctor").stdout
    )


@pytest.mark.parametrize("name", ["../README", "..", "", "/etc/passwd", "a\0b", "critic.md"])
def test_a_name_that_is_none_leads_to_no_file(name: str) -> None:
    with pytest.raises(PromptError, match="there is no prompt"):
        Prompts().raw(name)
