"""A lesson in the person's own editor, which is a real program here: changed, added, never lost."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from support.curated import docker_library, found, ids_of, told
from support.fakes import LESSONS, a_lesson, add
from support.terminal import Screen, done, done_json, refused

from flex_mcp import open_library

pytestmark = pytest.mark.process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return docker_library(tmp_path)


@pytest.fixture
def at(path: Path) -> tuple[str, str]:
    """The option that names it."""
    return ("--library", str(path))


@pytest.fixture
def ids(path: Path) -> list[str]:
    return ids_of(path)


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set an editor: a program that does to the file, `$1`, what a line of shell says."""

    def chosen(line: str) -> None:
        program = tmp_path / "editor"
        program.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        program.chmod(0o700)
        monkeypatch.setenv("EDITOR", str(program))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    return chosen


def kept(tmp_path: Path) -> list[Path]:
    """The texts that lie there after a refusal."""
    return [*tmp_path.glob("flex-mcp-*.txt")]


def test_a_person_sees_the_lesson_with_all_its_fields(
    at: tuple[str, str], ids: list[str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor(f'cp "$1" {tmp_path}/shown')
    assert done("edit", ids[3], *at) == "Nothing was changed.\n"
    assert done_json("edit", ids[3], *at) == {"id": ids[3], "changed": False}
    assert (tmp_path / "shown").read_text(encoding="utf-8") == snapshot("""\
# Change what you like, save and close. Saved as it is, nothing changes.
# This was made of revision 1.
# A field is emptied where its text is deleted. Lines with # up here are left out.
# zone: golden, warning, mixed. level: principle, pattern, instance. priority: 1 to 5, the highest.
# project: the only one in which it holds; empty for everywhere. tags: with commas between.
# What stands below "--- lesson ---" is the lesson, up to the next such line. An example is
# another case with its own result; each has a part of its own.

title: Compare dates in UTC, never in the local time of the server.
zone: golden
level: pattern
domain: \n\
project: \n\
tags: time
priority: 3

--- when ---
Dates.

--- lesson ---
Compare dates in UTC, never in the local time of the server.

--- example ---

""")
    assert kept(tmp_path) == []


def test_what_is_written_becomes_the_lesson(
    path: Path, at: tuple[str, str], ids: list[str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor(
        "sed -i 's/^title:.*/title: UTC → always/; s/^tags:.*/tags:/; s/^domain:.*/domain: Time/;"
        's/^Dates.$//\' "$1"; printf "One.\\n\\n--- example ---\\nTwo.\\nlines\\n" >> "$1"'
    )
    said = done("edit", ids[3], "--reason", "better", *at)
    assert told(said, *ids) == snapshot("""\
**UTC → always** (e_3)
> - 2 edit by command line, TIME: better
>     title:
>     - Compare dates in UTC, never in the local time of the server.
>     + UTC → always
>     when: Dates. → none
>     examples:
>     + One.
>     + Two. lines
>     domain: none → time
>     tags: time → none
Undo: `flex-mcp curate e_3 revert --library LIBRARY`
""")
    now = found(path, ids[3])
    assert (now.title, now.when, now.tags, now.domain) == ("UTC → always", "", (), "time")
    assert (now.examples, now.lesson) == (("One.", "Two.\nlines"), LESSONS[3])
    assert kept(tmp_path) == []


def test_what_is_wrong_is_told_at_once_and_the_text_is_kept(
    path: Path, at: tuple[str, str], ids: list[str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor(
        "sed -i 's/^level:.*/level: top/; s/^priority:.*/priority: 9/; s/^zone/zonne/;"
        's/^--- when/--- whn/; s/^title:.*/title: Mine/\' "$1"'
    )
    said = refused("edit", ids[0], *at)
    (file,) = kept(tmp_path)
    assert told(said, *ids).replace(str(file), "FILE") == snapshot(
        "line 10: there is no field 'zonne'; there are title, zone, level, domain, project, tags, priority; line 17: '--- whn ---' begins no part, which are when, lesson, example: put \\ before it where it is text; level cannot be 'top'; it is one of: principle, pattern, instance; priority is too large; it must be at most 5; your text is in FILE: `flex-mcp edit e_0 --file FILE --library LIBRARY` takes it from there"
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert found(path, ids[0]).revision == 1
    text = file.read_text(encoding="utf-8").replace("level: top", "level: principle")
    text = text.replace("priority: 9", "priority: 1").replace("zonne", "zone")
    file.write_text(text.replace("whn", "when"), encoding="utf-8")
    done("edit", ids[0], "--file", file, *at)
    assert found(path, ids[0]).title == "Mine"


def test_a_change_by_another_meanwhile_is_refused_and_both_texts_are_there(
    path: Path, at: tuple[str, str], ids: list[str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    theirs = (
        "from flex_mcp import open_library; from flex_mcp.models import Curation, Fields; "
        f"open_library('{path}').curate('{ids[0]}', Curation.EDIT, reason='x', "
        "fields=Fields(title='Theirs'))"
    )
    editor(f'sed -i "s/^title:.*/title: Mine/" "$1"; {sys.executable} -P -c "{theirs}"')
    said = refused("edit", ids[0], *at)
    assert f"{ids[0]} was changed since it was shown: look at it again; your text is in" in said
    (file,) = kept(tmp_path)
    assert "title: Mine" in file.read_text(encoding="utf-8")
    assert found(path, ids[0]).title == "Theirs"
    said = refused("edit", ids[0], "--file", file, *at)
    assert f"{ids[0]} was changed since, in title too" in said
    mine = file.read_text(encoding="utf-8").replace("of revision 1.", "of revision 2.")
    file.write_text(mine, encoding="utf-8")
    done("edit", ids[0], "--file", file, *at)
    assert found(path, ids[0]).title == "Mine"


def test_a_text_that_is_taken_later_changes_what_was_written_alone(
    path: Path, at: tuple[str, str], ids: list[str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    mine = tmp_path / "mine"
    editor(f'cp "$1" {mine}')
    done("edit", ids[0], *at)
    done("curate", ids[0], "edit", "--lesson", "Theirs.", *at)
    mine.write_text(mine.read_text(encoding="utf-8").replace("title: ", "title: My "), "utf-8")
    done("edit", ids[0], "--file", mine, *at)
    one = found(path, ids[0])
    assert one.title.startswith("My ")
    assert one.lesson == "Theirs."


def test_a_lone_return_in_a_lesson_is_no_change(
    path: Path, at: tuple[str, str], editor: Callable[[str], None]
) -> None:
    with open_library(path) as library:
        (id_,) = add(library, a_lesson("one\rtwo"))
    editor("true")
    assert done("edit", id_, *at) == "Nothing was changed.\n"


def test_an_editor_that_does_not_run_is_said(
    at: tuple[str, str],
    ids: list[str],
    tmp_path: Path,
    editor: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor("exit 3")
    assert "Editing failed: set VISUAL or EDITOR" in refused("edit", ids[0], *at)
    monkeypatch.setenv("EDITOR", str(tmp_path / "nothing"))
    assert "set VISUAL or EDITOR to one that works here" in refused("edit", ids[0], *at)
    assert kept(tmp_path) == []
    monkeypatch.delenv("EDITOR")
    assert "there is no terminal for an editor" in refused("edit", ids[0], *at)


def test_a_text_that_is_no_text_is_kept(
    at: tuple[str, str], ids: list[str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor("printf '\\351' > \"$1\"")
    assert "is not UTF-8 text: save it as that" in refused("edit", ids[0], *at)
    assert [file.read_bytes() for file in kept(tmp_path)] == [b"\xe9"]
    editor(': > "$1"')
    assert done("edit", ids[0], *at) == "Nothing was changed.\n"
    editor('rm "$1"')
    assert "cannot be read (No such file" in refused("edit", ids[0], *at)


def test_at_a_terminal_a_text_that_was_refused_is_offered_again(
    path: Path, at: tuple[str, str], ids: list[str], tmp_path: Path
) -> None:
    program = tmp_path / "editor"
    program.write_text(
        '#!/bin/sh\ngrep -q "priority: 9" "$1" && sed -i "s/priority: 9/priority: 4/" "$1" '
        '|| sed -i "s/priority: 3/priority: 9/" "$1"\n',
        encoding="utf-8",
    )
    program.chmod(0o700)
    screen = Screen("edit", ids[0], *at, EDITOR=str(program))
    screen.until("Edit it again? [Y/n]")
    screen.type("\n")
    assert "priority: 3 → 4" in screen.end()
    assert found(path, ids[0]).priority == 4


def test_a_lesson_is_written_in_the_editor(
    path: Path, at: tuple[str, str], tmp_path: Path, editor: Callable[[str], None]
) -> None:
    editor("true")
    assert done("add", *at) == "Nothing was added.\n"
    editor('sed -i "s/^zone:.*/zone: silver/; s/^priority:.*/priority: 7/" "$1"')
    said = refused("add", *at)
    (file,) = kept(tmp_path)
    assert told(said).replace(str(file), "FILE") == snapshot(
        "priority is too large; it must be at most 5; zone cannot be 'silver'; it is one of: golden, warning, mixed; title is empty: say it in words; lesson is empty: say it in words; your text is in FILE: `flex-mcp add --file FILE --library LIBRARY` takes it from there"
    )
    editor(
        'sed -i "s/^title:.*/title: Mine/; s/^priority:.*/priority: 1/; '
        's/^--- lesson ---/&\\nDo this.\\n\\nAnd that./" "$1"'
    )
    done("add", *at)
    with open_library(path) as library:
        (made, *_) = library.experiences()
    assert (made.title, made.lesson, made.priority) == ("Mine", "Do this.\n\nAnd that.", 1)
    assert (made.examples, made.when, made.domain) == ((), "", None)
