"""Secrets stay out: of every table, by every door; what is no secret stays as it was."""

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from re import _constants as codes  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
from types import FrameType
from typing import Any, cast

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp_types import Implementation
from support import labelled_secrets
from support.fakes import FakeEmbedder, a_lesson, a_trajectory, fake_library
from support.labelled_secrets import (
    ALNUM,
    BASE64,
    HEX,
    PROVIDERS,
    UPPER,
    Line,
    drawn,
    lines,
    pieces,
    private_key,
)

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.cli.main import main
from flex_mcp.errors import SettingError
from flex_mcp.exchange.files import Format, export_library, import_text
from flex_mcp.library.briefs import NewBrief
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Agent,
    Curation,
    Fields,
    Origin,
    Placement,
    RevisionKind,
    Step,
    StepKind,
    new_id,
)
from flex_mcp.safety import redaction
from flex_mcp.safety.redaction import redact
from flex_mcp.safety.redaction.vocabulary import vocabulary
from flex_mcp.server.server import build_server
from flex_mcp.settings import Redacting

LINES = list(lines())
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "redaction.py"
TOKEN = PROVIDERS["github-token"]("tests")
OTHER = PROVIDERS["stripe-key"]("tests")
PASSWORD = pieces("n0t", "T0day!")
WORD = pieces("sword", "fish")
SHORT = drawn("abcdefgh", 4, "s") + "1234" + drawn("abcdefgh", 4, "t")
MARK = "[redacted:github-token]"


def plain(text: str) -> str:
    return redact(text)[0]


# What is found


@pytest.mark.process
def test_the_labelled_lines_are_enough_and_found_as_well_as_we_say(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    ran = subprocess.run(
        [sys.executable, BENCHMARK, "--json", file], check=True, capture_output=True, text=True
    )
    assert "MISSED" not in ran.stdout
    goals = json.loads(file.read_text(encoding="utf-8"))["goals"]
    assert len(goals) == 5
    assert all(goal["met"] for goal in goals)
    harmless = sum(not line.secrets for line in LINES)
    assert len(LINES) * 0.4 < harmless < len(LINES) * 0.6


def test_no_line_of_this_repository_holds_a_whole_secret() -> None:
    for page in (Path(__file__), Path(labelled_secrets.__file__)):
        written = page.read_text(encoding="utf-8").splitlines()
        kinds = {span.kind for line in written for span in redaction.find_secrets(line)}
        assert not kinds & {kind for kind in PROVIDERS if kind != "jwt"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"export GITHUB_TOKEN={TOKEN}", f"export GITHUB_TOKEN={MARK}"),
        (f'password = "{PASSWORD}"  # change', 'password = "[redacted:password]"  # change'),
        (f"postgres://app:{PASSWORD}@db:5432/shop", "postgres://app:[redacted:connection-string]@db:5432/shop"),
        (f"curl -u bob:{PASSWORD} https://x.example", "curl -u bob:[redacted:password] https://x.example"),
        (f"{{\"name\":\"API_KEY\",\"value\":\"{SHORT}\"}}", '{"name":"API_KEY","value":"[redacted:api-key]"}'),
        (f"token: {SHORT}\nuser: bob", "token: [redacted:token]\nuser: bob"),
        (f"user: bob\n password: {WORD}\n", "user: bob\n password: [redacted:password]\n"),
        (f"the password: {WORD} was a film", f"the password: {WORD} was a film"),
        (f"password: {WORD}.", f"password: {WORD}."),
        (f"const password = {WORD};", f"const password = {WORD};"),
        ("token: 1234567890", "token: 1234567890"),
        (f"My password is {PASSWORD}, he said.", "My password is [redacted:password], he said."),
        (private_key("RSA PRIVATE KEY", "t") + "\nafter", "[redacted:private-key]\nafter"),
        (private_key("PRIVATE KEY", "t")[:200], "[redacted:private-key]"),
        ("a -----BEGIN PRIVATE KEY----- header is missing", "a -----BEGIN PRIVATE KEY----- header is missing"),
    ],
)  # fmt: skip
def test_only_the_secret_goes_and_what_stands_around_it_stays(text: str, kept: str) -> None:
    assert redact(text) == (kept, int(text != kept))


WORDS = pieces("Rote Ro", "sen 3")
KEY = drawn(BASE64, 40, "prompt")
SESSION = drawn(BASE64, 32, "cookie").replace("/", "a").replace("+", "b")
BOT = PROVIDERS["telegram-token"]("tests")
HOOK = f"T{drawn(UPPER, 8, 't')}/B{drawn(UPPER, 8, 'b')}/{drawn(ALNUM, 24, 'hook')}"


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "§"}', "DB_PASSWORD='§'", "password: '§'", "<password>§</password>",
        "client.login(user='me', password='§')", 'setPassword("§");', "--password '§'",
        "Server=db;Password=§;Encrypt=true", '{\\"password\\": \\"§\\"}',
        'variable "db_password" {\n  type = string\n  default = "§"\n}', "Passwort: „§“",
        '<property name="x.password">§</property>', "curl -u 'bob:§' https://x.example",
    ],
)  # fmt: skip
def test_a_password_in_quotes_may_be_words_and_a_sentence_about_one_is_none(text: str) -> None:
    assert redact(text.replace("§", WORDS)) == (text.replace("§", "[redacted:password]"), 1)
    for sentence in ("must have 8 characters", "Password 2", "at least 1 digit", "see page 12"):
        said = text.replace("§", sentence)
        assert "curl" in text or redact(said) == (said, 0)


@pytest.mark.parametrize(
    ("prompt", "secret"),
    [
        ("AWS Secret Access Key [None]: §", KEY),
        ("Password [postgres]: §", PASSWORD),
        ("[sudo] password for me: §", PASSWORD),
        ("Enter passphrase for key '/home/me/.ssh/id': §", "my dog ate three shoes"),
        ("API token (hidden): §", KEY),
        ("? Enter your API key \u203a §", KEY),
        ("Access token > §", KEY),
        ("Enter your password:\n§\nWelcome", PASSWORD),
        ("| user | bob |\n| password | § |", PASSWORD),
        ("user  bob\npass  §", PASSWORD),
    ],
)
def test_what_is_typed_at_a_prompt_goes(prompt: str, secret: str) -> None:
    assert re.fullmatch(
        re.escape(prompt).replace("§", r"\[redacted:[a-z-]+\]"), plain(prompt.replace("§", secret))
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"Cookie: theme=dark; sid={SESSION}; lang=de", "Cookie: theme=dark; sid=§; lang=de"),
        (f'{{"set-cookie":["a={SESSION}; Path=/"]}}', '{"set-cookie":["a=§; Path=/"]}'),
        (f"GET / 200 Set-Cookie: auth={SESSION}; Path=/ (1 ms)", "GET / 200 Set-Cookie: auth=§; Path=/ (1 ms)"),
        (f"curl -b 'a={SESSION}; b=1' x", "curl -b 'a=§; b=1' x"),
        (f"POST https://api.telegram.org/bot{BOT}/getMe", "POST https://api.telegram.org/bot§/getMe"),
        (f"https://hooks.slack.com/services/{HOOK} failed", "https://hooks.slack.com/services/§ failed"),
        (f'"private_key_id": "{drawn(HEX, 40, "id")}"', '"private_key_id": "§"'),
    ],
)  # fmt: skip
def test_only_the_session_goes_from_cookies_and_only_the_path_of_a_hook(
    text: str, kept: str
) -> None:
    assert re.fullmatch(re.escape(kept).replace("§", r"\[redacted:[a-z-]+\]"), plain(text))


def test_cookies_go_from_headers_that_come_as_a_mapping() -> None:
    headers = {"Cookie": f"lang=de; sid={SESSION}", "set-cookie": [f"a={SESSION}; Path=/", "b=1"]}
    assert redaction.Redactor().clean({"headers": headers}) == (
        {
            "headers": {
                "Cookie": "lang=de; sid=[redacted:session]",
                "set-cookie": ["a=[redacted:session]; Path=/", "b=1"],
            }
        },
        2,
    )


@pytest.mark.parametrize("prefix", ["m0-", "mem0_", "hsk-", "brv_", "retaindb_", "nsk-"])
def test_keys_of_memory_services_need_no_name_beside_them(prefix: str) -> None:
    assert redact(f"got {prefix}{SESSION} back") == ("got [redacted:provider-token] back", 1)
    assert redact(f"{prefix}search_memories_by_user_v2")[1] == 0


def test_a_run_of_tests_is_no_password(quick: Library) -> None:
    run = """=== RUN   TestRun
--- PASS: TestRun (0.05s)
    --- PASS: TestRun/with_2_tokens (0.00s)
PASS: gas/all/err-1.s
PASS: "Run size-3e"
PASS src/auth/token.test.ts
ok 12 - password is hashed 12 times
tests/test_auth.py::test_secret_key_42 PASSED
# pass 13
pass: 128456
PWD=/home/me/x2
"""
    id_ = quick.record(a_trajectory(transcript=run)).trajectory_id
    (kept,) = quick.trajectories([id_])
    assert kept.transcript == run
    assert redact(f"user: bob\nPASS: {PASSWORD}") == ("user: bob\nPASS: [redacted:password]", 1)


def test_a_token_may_be_longer_than_any_password() -> None:
    long = drawn(BASE64, 900, "session")
    escaped = '{\\"token\\": \\"' + long + '\\"}'
    for text in (f'"SessionToken": "{long}",', f"AWS_SESSION_TOKEN={long}\n", escaped):
        assert redact(text) == (text.replace(long, "[redacted:token]"), 1)
    for text in (f"data:image/png;base64,{long}", f"token: {'word ' * 200}", f"token={'a' * 900}"):
        assert redact(text) == (text, 0)


@pytest.mark.parametrize(
    "text",
    [
        "a <private>x</private> z",
        "a <PRIVATE>x</Private> z",
        "a <private reason='it is mine'>x\ny</private > z",
        "a < private >x<private>y</private>x</ private> z",
        'a <private a="<b>">x</private> z',
    ],
)
@pytest.mark.parametrize("mode", Redacting)
def test_what_is_marked_as_private_goes_in_every_mode(text: str, mode: Redacting) -> None:
    assert redact(text, mode) == ("a [redacted:private] z", 1)


def test_an_unclosed_private_runs_to_the_end_and_other_tags_are_none() -> None:
    assert redact("a <private>b\nc </b> d") == ("a [redacted:private]", 1)
    assert redact("a <private>b<private>c</private> d") == ("a [redacted:private]", 1)
    assert redact("a <private") == ("a [redacted:private]", 1)
    for text in ("<privates>b", "#include <private/foo.h>", "a <private/> b", "a </private> b"):
        assert redact(text) == (text, 0)


def test_off_leaves_the_secrets_and_strict_takes_what_may_be_one_too() -> None:
    drawn, mail = TOKEN.removeprefix("gh" + "p_"), "ada@example.com"
    text = f"{TOKEN} and {drawn} by {mail}"
    assert redact(text, Redacting.OFF) == (text, 0)
    assert redact(text, Redacting.ON) == (f"{MARK} and {drawn} by {mail}", 1)
    assert redact(text, Redacting.STRICT) == (
        f"{MARK} and [redacted:high-entropy] by [redacted:email]",
        3,
    )


@pytest.mark.parametrize("mode", Redacting)
def test_doing_it_twice_changes_nothing(mode: Redacting) -> None:
    for line in LINES:
        once, _ = redact(line.text, mode)
        assert redact(once, mode) == (once, 0)


PIECES = (
    *(TOKEN, PASSWORD, "password", "=", ": ", '"', "'", "token", " is ", "\n", "<private>", "key"),
    *("</private>", "://", "bob:", "@", MARK, "[redacted:", "Bearer ", "\\", "secret", "a1b2c3d4"),
    *("-----BEGIN PRIVATE KEY-----", "eyJ", ".", "authorization", "😀", "İ", " ", "x" * 30, "-u "),
    *("cookie: a=", "; ", "password for x: ", "pass: ", "://x/hook/", WORDS, "\n", ";", "[None]"),
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.sampled_from(Redacting))
def test_whatever_the_text_doing_it_twice_changes_nothing(text: str, mode: Redacting) -> None:
    once, _ = redact(text, mode)
    assert redact(once, mode) == (once, 0)


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    redact(text, Redacting.STRICT)


# The cost


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every regular expression that is run over a text."""
    for module in pkgutil.iter_modules(redaction.__path__, "flex_mcp.safety.redaction."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value
    placed = importlib.import_module("flex_mcp.safety.redaction.placed")
    for form in vocabulary().forms:
        yield form.kind, re.compile(form.regex)
    for needle, regex in placed.COMMANDS:
        yield needle, re.compile(regex)


ON_VALUES = {"WEAK", "HOLES", "EXPRESSION", "WORDLIKE", "CONSTANT", "PARTS", "TOKEN", "EXAMPLE"}
ON_FORMS = {"EXACT"}  # it reads our own table


def goes_back(pattern: re.Pattern[str]) -> list[str]:
    return list(unbounded(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)))


def unbounded(node: Any) -> Iterator[str]:
    """Repeats without a bound from which a match could go back."""
    for code, value in node:
        if code in {codes.MAX_REPEAT, codes.MIN_REPEAT} and value[1] is codes.MAXREPEAT:
            yield str(value[2])
        for part in flat(value):
            yield from unbounded(part)


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, parser.SubPattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in cast("tuple[Any, ...]", value):
            yield from flat(part)


def test_no_pattern_that_meets_a_whole_text_can_go_back_without_a_bound() -> None:
    others = ON_VALUES | ON_FORMS
    met = [(name, one) for name, one in patterns() if name.rsplit(".", 1)[-1] not in others]
    assert len(met) > 90
    assert {name: found for name, one in met if (found := goes_back(one))} == {}


def steps(text: str) -> int:
    """Calls that are made for a text, into C too."""
    made = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001  Python's own
        nonlocal made
        made += event in {"call", "c_call"}

    redact(text)  # what is made once
    sys.setprofile(count)
    try:
        redact(text)
    finally:
        sys.setprofile(None)
    return made


HOSTILE = (
    *("key=", 'password="', "password=a1", "eyJ", "<private", "<private>a</private>", "://a:", "sk-"),
    *("-----BEGIN PRIVATE KEY-----", "Bearer ", "authorization: ", "token is ", "a@", TOKEN, "login "),
    *("cookie: a=b; ", "password for a ", "password (", "api key ", "://a/hook/a1", "key | ", "pass: "),
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_work_grows_with_the_text_and_no_faster(piece: str) -> None:
    short, long = (piece * (length // len(piece)) for length in (20_000, 80_000))
    assert steps(long) < 5 * steps(short) + 1_000


# Where it works


def kept_bytes(path: Path) -> bytes:
    """All that lies in the library's files."""
    files = [path, path.with_name(path.name + "-wal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def everything(library: Library) -> str:
    """All that can be read out of it, compressed texts and history among it."""
    return "".join(export_library(library)) + "".join(export_library(library, Format.FLEX))


def secret_lesson(**values: Any) -> Any:
    return a_lesson(f"Never write {TOKEN} into a log.", when=f"password={PASSWORD}", **values)


def test_no_verb_writes_a_secret_into_the_file(tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        steps_ = (Step(kind=StepKind.ACTION, content=f"login {TOKEN}", name=f"run {TOKEN}"),)
        given_ = a_trajectory(
            f"Use {TOKEN}", steps=steps_, answer=TOKEN, feedback=f"password: {PASSWORD}",
            agent=Agent(name=TOKEN, model=TOKEN), domain=f"ci/{TOKEN}",
        )  # fmt: skip
        done = library.record(given_, lessons=[secret_lesson()], key=f"run-{TOKEN}")
        library.record(a_trajectory("Long", transcript=f"{TOKEN} " * 2 + f"\nPASSWORD={PASSWORD}"))
        (made,) = library.apply([secret_lesson(title="By apply", tags=(TOKEN,), examples=(TOKEN,))])
        brief = library.briefs.open(NewBrief(id=new_id("b"), trajectory_ids=[done.trajectory_id]))
        assert brief is None  # its lessons came along
        for number in range(2):
            id_ = library.record(a_trajectory(f"Task {number}")).trajectory_id
            brief = library.briefs.open(NewBrief(id=new_id("b"), trajectory_ids=[id_]))
            assert brief is not None
            raw = {"zone": "golden", "level": "pattern", "title": f"{number}", "when": TOKEN,
                   "lesson": f"password={PASSWORD}", "reason": TOKEN}  # fmt: skip
            if number:
                library.briefs.answer(brief.id, [raw, raw | {"level": TOKEN}])
        library.curate(
            made.experience_id or "",
            Curation.EDIT,
            reason=f"because {TOKEN}",
            fields=Fields(lesson=f"Use {TOKEN}", title=f"token {TOKEN}"),
        )
        library.search(f"how do I use {TOKEN}")
    with open_library(tmp_path / "library.db") as library:
        shown = everything(library)
    for secret in (TOKEN, TOKEN[:20], PASSWORD):
        assert secret.encode() not in kept_bytes(tmp_path / "library.db")
    assert TOKEN not in shown
    assert f"password={PASSWORD}" not in shown
    assert MARK in shown


def test_what_a_models_lessons_and_narrowed_words_hold_is_taken_out(quick: Library) -> None:
    (old,) = quick.apply([a_lesson("Pin the compiler.")])
    id_ = quick.record(a_trajectory()).trajectory_id
    brief = quick.briefs.open(NewBrief(id=new_id("b"), trajectory_ids=[id_]))
    assert brief is not None
    placement = Placement(
        lessons=(a_lesson(f"Hide {TOKEN}.", title="Hide"),),
        narrowed={old.experience_id or "": f"When {TOKEN}"},
    )
    origin = Origin(kind="distilled", by="model")
    (decision,) = quick.briefs.settle(brief.id, placement, origin=origin)
    assert decision.reason == "1 secret was redacted"
    assert quick.briefs.settle(brief.id, placement, origin=origin) == [decision]
    assert TOKEN not in everything(quick)
    assert quick.get([old.experience_id or ""])[0].when == f"When {MARK}"


def test_the_same_trajectory_with_a_secret_is_stored_once(quick: Library) -> None:
    first, again, other = (
        quick.record(a_trajectory(f"Use {secret} here")) for secret in (TOKEN, TOKEN, OTHER)
    )
    assert (first.new, again.new, other.new) == (True, False, True)
    assert (first.trajectory_id, first.redacted) == (again.trajectory_id, 1)


def test_a_search_is_made_with_the_words_as_they_are_and_logged_without_the_secret(
    tmp_path: Path,
) -> None:
    embedder = Listening()
    with fake_library(tmp_path, embedder) as library:
        library.apply([a_lesson()])
        library.search(f"what is {TOKEN} for")
        assert any(TOKEN in text for text in embedder.asked)
    with fake_library(tmp_path, FakeEmbedder()) as library:
        assert f"what is {MARK} for" in everything(library)


class Listening(FakeEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def query(self, text: str) -> bytes:
        self.asked.append(text)
        return super().query(text)


def test_a_curation_says_in_its_reason_how_many_secrets_there_were(quick: Library) -> None:
    (made,) = quick.apply([a_lesson()])
    _, revision, _ = quick.curate(
        made.experience_id or "", Curation.EDIT, reason="clearer", fields=Fields(lesson=TOKEN)
    )
    assert revision.kind is RevisionKind.EDIT
    assert revision.reason == "clearer (1 secret was redacted)"


def flex(method: object, **values: object) -> str:
    empty: dict[str, object] = {"rules": [], "revised_trajectory": ""}
    entry = {"method": method} | empty | values
    return json.dumps({"library": {"golden": [entry]}})


def test_an_imported_entry_loses_its_secrets_in_every_form(tmp_path: Path) -> None:
    with open_library(tmp_path / "library.db") as library:
        long = "x" * 100 + TOKEN + "y" * 40  # a title would be cut within it
        text = flex(f"Call {TOKEN} first. Then\n-{long.replace('x' + TOKEN, 'x ' + TOKEN)}",
                    rules=[{"rule": f"password={PASSWORD}", "examples": [TOKEN]}],
                    extra={"password": PASSWORD}, revised_trajectory=f"é <private>{OTHER}")  # fmt: skip
        imported = import_text(library, text, source="flex.json")
        again = import_text(library, text, source="flex.json")
        assert (imported.redacted, imported.total, again.total) == (6, 3, 0)
        shown = everything(library)
    found = shown.encode() + kept_bytes(tmp_path / "library.db")
    for secret in (TOKEN, TOKEN[:12], PASSWORD, OTHER):
        assert secret.encode() not in found
    assert "é [redacted:private]" in shown


def test_an_imported_value_is_taken_out_by_the_name_in_the_field_beside_it(tmp_path: Path) -> None:
    fields = {"form": [{"value": WORD, "name": "DB_PASSWORD"}, {"key": "colour", "value": "blue"}]}
    with open_library(tmp_path / "library.db") as library:
        assert import_text(library, flex("Call", extra=fields), source="flex.json").redacted == 1
        document = "".join(export_library(library, Format.FLEX))
    assert '"value": "blue"' in document
    assert WORD not in document


def test_a_bundle_from_elsewhere_loses_its_secrets_and_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_REDACT", "off")
    with open_library(tmp_path / "old.db") as old:
        old.record(a_trajectory(f"Use {TOKEN}"), lessons=[secret_lesson()])
        old.search(f"how to use {TOKEN}")
        import_text(old, flex(f"<b>Call</b> {TOKEN}"), source="flex.json")
    with open_library(tmp_path / "old.db") as old:
        text = "".join(export_library(old))
        assert TOKEN in text
    monkeypatch.setenv("FLEX_MCP_REDACT", "on")
    with open_library(tmp_path / "new.db") as new:
        imported = import_text(new, text, source="old.jsonl")
        assert imported.redacted >= 5
        assert not new.record(a_trajectory(f"Use {TOKEN}")).new
        assert TOKEN not in everything(new)
        assert json.loads("".join(export_library(new, Format.FLEX)))["library"]["golden"]
    assert TOKEN.encode() not in kept_bytes(tmp_path / "new.db")


def test_the_flex_libraries_pass_unchanged(shared: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted((shared / "data" / "flex").glob("*.json"))):
        text = file.read_text(encoding="utf-8")
        assert redact(text) == (text, 0)
        with fake_library(tmp_path / f"{number}", FakeEmbedder()) as library:
            assert import_text(library, text, source=file.name).redacted == 0
            (exported,) = export_library(library, Format.FLEX)
        assert json.dumps(json.loads(exported)["library"]) == json.dumps(
            json.loads(text)["library"]
        )


# What users see


@pytest.mark.anyio
async def test_the_answer_of_a_recording_says_how_many_secrets_were_redacted(
    tmp_path: Path,
) -> None:
    app = App(library=str(tmp_path / "library.db"))
    async with Client(build_server(app)) as client:
        steps_ = [{"kind": "action", "content": f"{TOKEN} {OTHER} PASSWORD={PASSWORD}"}]
        work = {"task": "Release", "outcome": "success", "steps": steps_}
        told = await client.call_tool("record_trajectory", work)
        none = await client.call_tool("record_trajectory", work | {"steps": []})
    app.close()
    assert told.structured_content is not None
    assert none.structured_content is not None
    assert told.structured_content["redacted"] == 3
    assert "3 secrets were redacted." in str(told.content)
    assert "redacted" not in none.structured_content
    assert "redacted" not in str(none.content)


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments, input=stdin, prog_name="flex-mcp")
    return result.exit_code, result.output


def test_the_command_line_says_so_too(tmp_path: Path) -> None:
    path = str(tmp_path / "library.db")
    work = json.dumps({"task": f"Use {TOKEN}", "outcome": "failure"})
    code, said = run("record", "-", "--library", path, stdin=work)
    assert (code, "1 secret was redacted." in said) == (0, True)
    noted = json.dumps({"task": "Log in", "outcome": "failure", "feedback": f"password: {WORD}"})
    code, said = run("record", "-", "--library", path, stdin=noted)
    assert (code, "1 secret was redacted." in said) == (0, True)
    assert WORD not in run("export", "--library", path)[1]
    file = tmp_path / "flex.json"
    file.write_text(flex(f"Call {TOKEN}"), encoding="utf-8")
    code, said = run("import", str(file), "--library", path)
    assert (code, "1 secret was redacted." in said) == (0, True)
    code, said = run("import", str(file), "--library", path, "--json")
    assert (code, json.loads(said)["redacted"]) == (0, 1)


def test_a_mode_that_is_none_is_refused_when_something_is_recorded_and_not_before(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEX_MCP_REDACT", "maybe")
    sentence = "FLEX_MCP_REDACT cannot be 'maybe'; it is one of: off, on, strict"
    library.apply([a_lesson()])  # opened before
    with open_library(tmp_path / "other.db") as other:
        for refused in (
            lambda: other.record(a_trajectory()),
            lambda: other.apply([a_lesson()]),
            lambda: import_text(other, flex("Call"), source="flex.json"),
        ):
            with pytest.raises(SettingError, match=re.escape(sentence)):
                refused()
        found = other.search("anything")
        assert found.retrieval_id is None
        assert found.notices == (f"this search was not recorded: {sentence}",)
    code, said = run("doctor", "--library", str(tmp_path / "other.db"))
    assert code == 1
    assert "FLEX_MCP_REDACT cannot be 'maybe' → set it to one of off," in " ".join(said.split())


def test_a_line_without_a_secret_is_given_back_as_it_is() -> None:
    value: tuple[Line, ...] = tuple(LINES[-3:])
    lesson = a_lesson()
    redactor = redaction.Redactor()
    assert redactor.value(lesson) is lesson
    assert redactor.value({"a": [1, None, 2.5, lesson]})["a"][3] is lesson
    assert redactor.clean(value) == (value, 0)


def test_what_is_private_from_one_step_to_a_later_one_is_never_stored(tmp_path: Path) -> None:
    contents = ["look <private> at", "the SALARY", "of </private> all", "see Local<Private> code"]
    steps = tuple(Step(kind=StepKind.MESSAGE, content=content) for content in contents)
    with fake_library(tmp_path, FakeEmbedder()) as library:
        id_ = library.record(a_trajectory(steps=steps)).trajectory_id
        (kept,) = library.trajectories([id_])
    mark = "[redacted:private]"
    assert [step.content for step in kept.steps or ()] == [
        f"look {mark}",
        mark,
        f"{mark} all",
        "see Local<Private> code",
    ]


@pytest.mark.anyio
async def test_a_secret_in_a_clients_name_is_not_logged(tmp_path: Path) -> None:
    token = "ghp_" + "a8Fk2" * 7 + "x"
    app = App(library=str(tmp_path / "library.db"))
    info = Implementation(name=f"agent {token}", version="1")
    async with Client(build_server(app), client_info=info) as client:
        await client.call_tool("record_trajectory", {"task": "x", "outcome": "success"})
    (write,) = app.library.last_writes(1)
    app.close()
    assert write.client == "agent [redacted:github-token] 1"
