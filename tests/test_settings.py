"""Settings: where the library and the models lie, and which embedder was asked for."""

from pathlib import Path

import hypothesis
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

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


# Places


def library(text: str, **variables: str) -> Path:
    return Settings.from_environment(environment={"FLEX_MCP_LIBRARY": text} | variables).library


@pytest.mark.parametrize(
    "text",
    [
        "$PLACE/l.db",
        "${PLACE}/l.db",
        "${env:PLACE}/l.db",
        "$env:PLACE/l.db",
        "%PLACE%/l.db",
        "{env:PLACE}/l.db",
        "${NOWHERE:-/my place}/l.db",
        " /my place/l.db\n",
        "${FILE}",
    ],
)
def test_variables_that_are_set_are_filled_in(text: str) -> None:
    assert library(text, PLACE="/my place", FILE="/my place/l.db") == Path("/my place/l.db")


@pytest.mark.parametrize(
    "text",
    [
        "/a/$/50%/l.db",
        "/a/{B4BFCC3A-DB2C-424C-B029-7FE99A87C641}/l.db",
        "/naïve/日本.db",
        "/a;b&c~",
    ],
)
def test_what_is_no_placeholder_stays(text: str) -> None:
    assert library(text) == Path(text)


PLACEHOLDERS = [
    "${workspaceFolder}/.flex/l.db",
    "${user_config.folder}/l.db",
    "${env:NOWHERE}/l.db",
    "/home/${USER_WITHOUT_NAME}/l.db",
    "$NOWHERE/l.db",
    "$EMPTY/l.db",
    "$OTHER/l.db",
    "%NOWHERE%\\l.db",
    "{{HOME}}/l.db",
    "{home}/l.db",
    "<path>/l.db",
    "/home/<your name>/l.db",
    "$(pwd)/l.db",
    "`pwd`/l.db",
    "${HOME/l.db",
]
FAULTS = [
    ("C:\\Users\\me\\l.db", "is written as on Windows"),
    ("c:/Users/me/l.db", "is written as on Windows"),
    ("\\\\server\\share\\l.db", "is written as on Windows"),
    ("/home/me/my\\ notes/l.db", "is written as on Windows"),
    ("~nobody-of-this-name/l.db", "names a home that is not here"),
    ("/a/caf\udce9/l.db", "holds bytes that are no UTF-8"),
    ("/a\0b", "holds a control character"),
    ("/a\nb", "holds a control character"),
    ("/a/", "is a folder: name a file in it"),
    ("~/", "is a folder: name a file in it"),
    ("/a/.", "is a folder: name a file in it"),
    ('"/a/l.db"', "stands in quotation marks"),
    ("'/a/l.db'", "stands in quotation marks"),
    ("“/a/l.db”", "stands in quotation marks"),
    ("file:///a/l.db", "is an address"),
    ("sqlite:///l.db", "is an address"),
]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_that_nothing_fills_in_is_refused(text: str) -> None:
    with pytest.raises(SettingError) as refused:
        library(text, HOME="/home/me", EMPTY="", OTHER="${workspaceFolder}")
    assert str(refused.value).startswith(f"FLEX_MCP_LIBRARY is '{text}', and nothing here fills in")
    assert str(refused.value).endswith(": write it out, from its beginning (~ is your home)")


@pytest.mark.parametrize(("text", "why"), FAULTS)
@pytest.mark.parametrize("name", ["FLEX_MCP_LIBRARY", "--library"])
def test_what_can_be_no_path_here_is_refused(text: str, why: str, name: str) -> None:
    option = text if name == "--library" else None
    with pytest.raises(SettingError, match=rf"^{name} is '.+', which {why}"):
        Settings.from_environment(option, {"FLEX_MCP_LIBRARY": text})


@pytest.mark.parametrize("text", ["l.db", "./l.db", "../l.db", ".flex/l.db"])
def test_a_library_that_depends_on_the_folder_is_for_the_command_line_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment(text, {}).library == tmp_path / text
    with pytest.raises(SettingError, match=r"^FLEX_MCP_LIBRARY is '.+', which is no full path"):
        library(text)


def test_an_option_that_says_nothing_is_refused() -> None:
    for empty in ("", " "):
        with pytest.raises(SettingError, match=r"^--library is '.*', which is empty"):
            Settings.from_environment(empty, {})


def test_home_and_relative_paths_are_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment(
        environment={"FLEX_MCP_LIBRARY": "~/mine.db", "FLEX_MCP_EMBEDDER_PATH": "models/small/"}
    )
    assert settings.library == Path.home() / "mine.db"
    assert settings.embedder_path == tmp_path / "models" / "small"


def test_the_folders_are_read_like_the_library() -> None:
    for name, field in (
        ("FLEX_MCP_EMBEDDER_PATH", "embedder_path"),
        ("FLEX_MCP_PROMPTS", "prompts"),
    ):
        found = Settings.from_environment(environment={name: "${env:PLACE}/it", "PLACE": "/a"})
        assert getattr(found, field) == Path("/a/it")
        with pytest.raises(SettingError, match=rf"^{name} is '\${{x}}/it', and nothing here fills"):
            Settings.from_environment(environment={name: "${x}/it"})


def test_a_home_that_is_no_text_is_blamed_for_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/caf\udce9")
    says = (
        r"^FLEX_MCP_LIBRARY is not set, and the default is '/caf\\xe9/.+', which holds bytes that"
    )
    with pytest.raises(SettingError, match=says):
        Settings.from_environment(environment={})
    assert library("/l.db") == Path("/l.db")


@given(
    st.text(st.sampled_from("aA$%{}<>:~/\\.\"' \n\0é\udce9(`)-_") | st.characters(), max_size=40)
)
@hypothesis.settings(max_examples=examples(300))
def test_whatever_is_written_is_a_full_path_or_refused_in_one_line(text: str) -> None:
    found, refusal = None, None
    try:
        found = library(text)
    except SettingError as error:
        refusal = str(error)
    if found is None:
        assert refusal
        assert refusal.isprintable()
    else:
        assert found.is_absolute()
        str(found).encode()


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
