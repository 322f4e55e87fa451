"""Settings: where the library and the models lie, and which embedder was asked for."""

from pathlib import Path

import platformdirs
import pytest

from flex_mcp.app import App
from flex_mcp.errors import SettingError
from flex_mcp.settings import Settings, environment


def test_without_any_choice_the_library_lies_in_the_users_data_folder() -> None:
    settings = Settings.from_environment(environment={})
    assert settings.library == Path(platformdirs.user_data_dir("flex-mcp", False)) / "library.db"  # noqa: FBT003
    assert (settings.embedder, settings.embedder_path) == (None, None)


def test_the_command_line_beats_the_variable() -> None:
    variables = {"FLEX_MCP_LIBRARY": "/variable.db"}
    assert Settings.from_environment(environment=variables).library == Path("/variable.db")
    assert Settings.from_environment("/option.db", variables).library == Path("/option.db")


@pytest.mark.parametrize("nothing", ["", " ", "${user_config.field}", " ${input:field}\n"])
def test_a_variable_that_a_client_left_empty_is_not_set(nothing: str) -> None:
    names = ("FLEX_MCP_LIBRARY", "FLEX_MCP_EMBEDDER", "FLEX_MCP_EMBEDDER_PATH", "FLEX_MCP_MODEL")
    names += ("FLEX_MCP_DISTILLER", "FLEX_MCP_PROMPTS", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
    empty = Settings.from_environment(environment=dict.fromkeys(names, nothing))
    assert empty == Settings.from_environment(environment={})


def test_a_key_or_url_that_was_pasted_with_a_line_end_is_taken_without() -> None:
    found = Settings.from_environment(
        environment={"ANTHROPIC_API_KEY": "sk-1\n", "ANTHROPIC_BASE_URL": " http://localhost:1 "}
    )
    assert (found.api_key, found.base_url) == ("sk-1", "http://localhost:1")


def test_home_and_relative_paths_are_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment(
        environment={"FLEX_MCP_LIBRARY": "~/mine.db", "FLEX_MCP_EMBEDDER_PATH": "models/small"}
    )
    assert settings.library == Path.home() / "mine.db"
    assert settings.embedder_path == tmp_path / "models" / "small"


@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("4", "4")])
def test_blas_has_one_thread_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, kept: str
) -> None:
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    App()
    assert environment()["OPENBLAS_NUM_THREADS"] == kept


def test_a_home_that_nobody_has_is_refused_in_a_sentence() -> None:
    with pytest.raises(SettingError, match="~nobody-of-this-name"):
        Settings.from_environment("~nobody-of-this-name/library.db", {})
