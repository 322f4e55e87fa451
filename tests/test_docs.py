"""What the pages say is so."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from flex_mcp import Library, __version__
from flex_mcp.cli.main import main
from flex_mcp.server.server import TOOLS
from flex_mcp.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


TUTORIAL = [  # what its parts print, in their order
    "> A tag that was pushed before the tests had to be taken back.",
    "['add', 'retire', 'restore']",
    "task is empty: say it in words; outcome cannot be 'won'",
    "20 recorded",
    "['Run the tests before the tag'] ['add']",
    "Soak the beans",
    "23 experiences",
    "zones[0] cannot be 'gold'; it is one of: golden",
    "there is no experience e_unknown",
]


@pytest.mark.parametrize(
    ("page", "expected"),
    [("README.md", ["Tag after the tests, not before"]), ("docs/python.md", TUTORIAL)],
)
def test_the_python_examples_run(
    page: str,
    expected: Sequence[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shared: dict[str, object] = {}  # as a reader goes on in one session
    for example in blocks(ROOT / page, "python"):
        exec(compile(example, page, "exec"), shared)  # noqa: S102  our own page
    printed = capsys.readouterr().out
    assert [said for said in expected if said not in printed] == []


def test_every_command_of_the_readme_exists_and_takes_its_options() -> None:
    shown = [
        line.split() for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()
    ]
    commands = [words[1:] for words in shown if words and words[0] == "flex-mcp"]
    assert len(commands) >= 8
    for name, *words in commands:
        options = {option for param in main.commands[name].params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_the_readme_names_every_tool_and_setting() -> None:
    settings = (ROOT / "flex_mcp" / "settings.py").read_text(encoding="utf-8")
    for variable in re.findall(r"FLEX_MCP_[A-Z_]+", settings):
        assert variable in README
    for function, *_ in TOOLS:
        assert f"`{function.__name__}`" in README
    assert Settings().library.name in README


def test_the_python_page_names_every_verb_of_the_library() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    verbs = [name for name in dir(Library) if not name.startswith("_")]
    assert {verb for verb in verbs if f"`{verb}" not in page} <= {"close", "name"}


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_client_configurations_can_be_pasted() -> None:
    (config,) = (json.loads(block) for block in blocks(ROOT / "README.md", "json"))
    assert config["mcpServers"]["flex-mcp"]["args"] == ["serve"]
    (codex,) = (tomllib.loads(block) for block in blocks(ROOT / "README.md", "toml"))
    assert codex["mcp_servers"]["flex-mcp"] == config["mcpServers"]["flex-mcp"]


def test_the_version_is_the_same_everywhere() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    manifest = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    assert manifest["version"] == manifest["packages"][0]["version"] == __version__
    assert f"mcp-name: {manifest['name']} " in README
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "flex_mcp/version.py"


def test_the_registry_manifest_keeps_to_its_schema(shared: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((shared / "schemas" / "server.schema.json").read_text(encoding="utf-8"))
    manifest = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(manifest)
