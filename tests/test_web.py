"""The page without a browser: who gets in, what each view answers, and that nothing gets through."""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support.browser import csrf_in
from support.fakes import a_lesson, add

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.library.library import Library
from flex_mcp.models import Action, Curation, Fields, Status, Zone
from flex_mcp.settings import Access, Token
from flex_mcp.web.app import routes
from flex_mcp.web.sessions import IDLE_SECONDS, KEY_SECONDS, TRIES, Sessions

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'\u202e{{ 7*7 }}\x00" + "w" * 200
READS, CURATES = "reads", "curates"
BEFORE = "Always run database migrations before you deploy the service."
AFTER = "Always run database migrations after you deploy the service."


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def library(path: Path) -> Generator[Library]:
    with open_library(path) as opened:
        yield opened


class Browser:
    """A client that keeps its cookie; `say` hears of each new address."""

    def __init__(self, path: Path, sessions: Sessions) -> None:
        self.sessions = sessions
        self.said = 0
        app = Starlette(routes=routes(App(library=str(path)), sessions, self._say))
        self.client = TestClient(app, base_url="http://127.0.0.1:8000", follow_redirects=False)

    def _say(self) -> None:
        self.said += 1

    def login(self) -> "Browser":
        answer = self.client.post("/login", data={"key": self.sessions.new_key()})
        assert (answer.status_code, answer.headers["location"]) == (303, "/experiences")
        return self

    def page(self, address: str, status: int = 200) -> str:
        answer = self.client.get(address)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, address: str, status: int = 303, /, **form: Any) -> Any:
        form.setdefault("csrf", csrf_in(self.page("/experiences")))
        answer = self.client.post(address, data=form)
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
def browser(path: Path, library: Library) -> Browser:
    assert library.name
    return Browser(path, Sessions(access=Access.CURATE)).login()


# The way in


def test_no_page_is_shown_without_a_session(path: Path, library: Library) -> None:
    assert library.name
    client = Browser(path, Sessions()).client
    for address in ("/", "/search", "/experiences", "/experiences/e_x"):
        answer = client.get(address, headers={"Authorization": "Bearer whatever"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert client.post("/experiences").status_code == 303
    assert client.get("/static/page.css").status_code == 200
    assert client.get("/static/app.py").status_code == 404


def test_a_key_opens_once_and_asking_for_the_form_uses_nothing_up(
    path: Path, library: Library
) -> None:
    assert library.name
    opened = Browser(path, Sessions())
    key = opened.sessions.new_key()
    for _ in range(2):
        assert f'value="{key}"' in opened.client.get(f"/login?key={key}").text
    answer = opened.client.post("/login", data={"key": key})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert re.match(r"flex_mcp_8000=\S+; HttpOnly; Path=/; SameSite=lax$", cookie)
    assert opened.said == 1
    assert opened.client.post("/login", data={"key": key}).status_code == 403
    assert opened.said == 1


def test_keys_and_sessions_end_with_time() -> None:
    clock = Clock()
    sessions = Sessions(clock=clock)
    old = sessions.new_key()
    clock.now = KEY_SECONDS
    assert sessions.open(old) is None
    session = sessions.open(sessions.new_key())
    assert session is not None
    clock.now += IDLE_SECONDS
    assert sessions.get(session.id) is session
    clock.now += IDLE_SECONDS + 1
    assert sessions.get(session.id) is None


def test_many_wrong_keys_have_to_wait(path: Path, library: Library) -> None:
    assert library.name
    clock = Clock()
    opened = Browser(path, Sessions(clock=clock))
    tried = [opened.client.post("/login", data={"key": "x"}).status_code for _ in range(TRIES + 1)]
    assert tried == [*[403] * TRIES, 429]
    clock.now = 61
    opened.login()


def test_a_token_opens_with_its_rights(path: Path, library: Library) -> None:
    (id_,) = add(library, a_lesson(BEFORE))
    tokens = {
        READS.encode(): Token(token=READS, access=Access.READ, name="ben"),
        CURATES.encode(): Token(token=CURATES, access=Access.CURATE, name="anna"),
    }
    opened = Browser(path, Sessions(by_token=tokens.get))
    assert opened.client.post("/login", data={"key": "guess"}).status_code == 403
    assert opened.client.post("/login", data={"key": READS}).status_code == 303
    page = opened.page(f"/experiences/{id_}")
    assert "retire" not in page
    answer = opened.post(f"/experiences/{id_}", 400, action="retire")
    assert "your session may not retire" in answer.text
    assert opened.client.post("/login", data={"key": CURATES}).status_code == 303
    opened.post(f"/experiences/{id_}", action="retire")
    assert library.history(id_)[-1].actor == "web (anna)"


def test_only_our_own_forms_change_anything(browser: Browser, library: Library) -> None:
    (id_,) = add(library, a_lesson(BEFORE))
    address = f"/experiences/{id_}"
    for form in ({"csrf": "wrong"}, {"csrf": ""}):
        assert "not of this session" in browser.post(address, 403, action="retire", **form).text
    csrf = csrf_in(browser.page("/experiences"))
    for site in ("cross-site", "same-site", "none"):
        answer = browser.client.post(
            address, data={"csrf": csrf, "action": "retire"}, headers={"Sec-Fetch-Site": site}
        )
        assert answer.status_code == 403
    assert library.get(id_).status is Status.ACTIVE


def test_logging_out_ends_the_session(browser: Browser) -> None:
    cookies = dict(browser.client.cookies)
    browser.post("/logout")
    browser.client.cookies.update(cookies)
    assert browser.client.get("/experiences").headers["location"] == "/login"


# What is shown


def test_every_answer_is_under_our_policy(browser: Browser, library: Library) -> None:
    (id_,) = add(library, a_lesson(BEFORE))
    for address in (
        "/login",
        "/search?query=x",
        "/experiences",
        f"/experiences/{id_}",
        "/static/page.js",
    ):
        headers = browser.client.get(address).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert (headers["cache-control"], headers["x-content-type-options"]) == (
            "no-store",
            "nosniff",
        )


def test_the_list_says_what_it_shows(browser: Browser, library: Library) -> None:
    add(
        library,
        a_lesson(BEFORE, project="shop", domain="devops"),
        a_lesson("Water the plants.", zone=Zone.WARNING),
    )
    assert "2 active lessons, newest first." in browser.page("/experiences")
    page = browser.page("/experiences?project=shop&domain=devops&sort=served")
    assert "1 active lesson in devops of project shop, by served." in page
    assert "Water" not in page
    page = browser.page("/experiences?zone=warning&text=PLANTS")
    assert "1 active warning lesson with “PLANTS”, newest first." in page
    assert "Nothing fits." in browser.page("/experiences?text=nowhere")
    assert "Sort cannot be" in browser.page("/experiences?sort=ugly", 400)


def test_the_list_goes_on_where_it_ended(browser: Browser, library: Library) -> None:
    add(library, *(a_lesson(f"Lesson {number} of {number * 7}.") for number in range(60)))
    first = browser.page("/experiences")
    (after,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = browser.page(after.replace("&amp;", "&"))
    found = [re.findall(r'<a href="/experiences/(e_\w+)">', page) for page in (first, second)]
    assert [len(each) for each in found] == [50, 10]
    assert len({*found[0], *found[1]}) == 60


def test_a_search_shows_what_is_served_what_is_below_and_why(
    browser: Browser, library: Library
) -> None:
    best, other = add(
        library, a_lesson(BEFORE, title=BEFORE, when="deploying"), a_lesson("Water the plants.")
    )
    page = browser.page("/search", 200)
    assert "served, some" not in page
    page = browser.page(f"/search?query={BEFORE}")
    served, below = page.split("Just below")
    assert f"/experiences/{best}" in served
    assert f"/experiences/{other}" in below
    assert "<mark>migrations</mark>" in served
    assert library.get(best).served == 0
    assert "Nothing relevant" in browser.page("/search?query=Zebra+stripes+in+the+sun")


def test_what_is_not_there_is_said(browser: Browser) -> None:
    assert "there is no experience e_nowhere" in browser.page("/experiences/e_nowhere", 404)


def test_markup_and_control_characters_are_shown_as_text_everywhere(
    browser: Browser, library: Library
) -> None:
    values: dict[str, Any] = {"title": ATTACK[:110], "when": ATTACK, "lesson": ATTACK}
    values |= {"examples": (ATTACK,), "tags": ("<b>tag",), "domain": "<i>d", "project": "<u>p"}
    (id_,) = add(library, a_lesson(**values))
    library.curate(id_, Curation.RETIRE, reason=ATTACK, client=ATTACK[:100])
    library.curate(id_, Curation.RESTORE, reason=ATTACK)
    for address in (
        "/experiences",
        f"/experiences/{id_}",
        f"/experiences/{id_}?edit=1",
        f"/search?query={ATTACK[:60]}&project=all",
        "/experiences?text=<script>alert(1)</script>",
    ):
        page = browser.page(address)
        assert not re.search(r"<(script>|img|b>|i>|u>)", page), address
        assert "\u202e" not in page
        assert "\x00" not in page


# What it does


def test_a_change_can_be_taken_back_from_the_message_that_follows(
    browser: Browser, library: Library
) -> None:
    (id_,) = add(library, a_lesson(BEFORE))
    answer = browser.post(f"/experiences/{id_}", action="retire", reason="old")
    assert library.get(id_).status is Status.RETIRED
    page = browser.page(answer.headers["location"])
    assert "Undo" in page
    revision = re.search(r'name="revision" value="(\d+)"', page)
    assert revision is not None
    browser.post(f"/experiences/{id_}", action="revert", revision=revision[1])
    assert library.get(id_).status is Status.ACTIVE
    assert [one.actor for one in library.history(id_)][1:] == ["web", "web"]


def fields(page: str) -> dict[str, Any]:
    """The form of an edit, as it is shown."""
    return {
        "title": "New title",
        "when": "",
        "lesson": AFTER,
        "examples": "one\ntwo",
        "domain": "devops",
        "project": "",
        "tags": "",
        "zone": "warning",
        "level": "pattern",
        "priority": "4",
        "seen": re.findall(r'name="seen" value="(\d+)"', page)[0],
    }


def test_an_edit_saves_every_field_and_empties_what_is_empty(
    browser: Browser, library: Library
) -> None:
    (id_,) = add(library, a_lesson(BEFORE, when="deploying", project="shop", tags=("a",)))
    page = browser.page(f"/experiences/{id_}?edit=1")
    browser.post(f"/experiences/{id_}", action="edit", **fields(page))
    one = library.get(id_)
    assert (one.title, one.when, one.lesson) == ("New title", "", AFTER)
    assert (one.examples, one.tags, one.project) == (("one", "two"), (), None)
    assert (one.zone, one.domain, one.priority) == (Zone.WARNING, "devops", 4)


def test_a_save_over_a_newer_text_is_refused_and_shows_both(
    browser: Browser, library: Library
) -> None:
    (id_,) = add(library, a_lesson(BEFORE))
    page = browser.page(f"/experiences/{id_}?edit=1")
    library.curate(id_, Curation.EDIT, reason="first", fields=Fields(lesson="Meanwhile."))
    answer = browser.post(f"/experiences/{id_}", 409, action="edit", **fields(page))
    assert "was changed since it was shown" in answer.text
    assert "Meanwhile." in answer.text
    assert AFTER in answer.text
    assert library.get(id_).lesson == "Meanwhile."
    browser.post(f"/experiences/{id_}", action="edit", **fields(answer.text))
    assert library.get(id_).lesson == AFTER


def test_neighbours_are_merged_and_what_is_held_back_is_approved_by_who_may(
    browser: Browser, library: Library
) -> None:
    one, other = add(library, a_lesson(BEFORE), a_lesson(AFTER, action=Action.ADD))
    page = browser.page(f"/experiences/{one}")
    assert AFTER in page
    browser.post(f"/experiences/{one}", action="merge", into=other)
    assert library.get(one).superseded_by == other
    library.curate(other, Curation.QUARANTINE, reason="who?")
    browser.post(f"/experiences/{other}", action="approve")
    assert library.get(other).status is Status.ACTIVE


def test_a_review_settles_one_thing_after_the_other(browser: Browser, library: Library) -> None:
    one, other = add(
        library,
        a_lesson(BEFORE, title=BEFORE, when=""),
        a_lesson(AFTER, title=AFTER, when="", action=Action.ADD, zone=Zone.WARNING),
    )
    (held,) = add(library, a_lesson("Water the plants."))
    library.curate(held, Curation.QUARANTINE, reason="who wrote this?")
    page = browser.page("/review")
    assert "1 of 1" in page
    assert "2 lessons came or changed" in page
    assert "Held back: who wrote this?" in page
    browser.post("/review", action="compare")
    page = browser.page("/review?place=1")
    assert "All are compared" in page
    assert "<strong>2 of 2</strong>: they say the opposite of each other." in page
    settled = {"of": "contradicts", "id": [one, other], "seen": ["1", "1"]}
    browser.post("/review?place=1", action="keep", **settled)
    page = browser.page("/review")
    assert "1 of 1" in page
    assert "Left as it is" in page
    browser.post("/review", action="take up", **settled)
    library.curate(one, Curation.EDIT, reason="x", fields=Fields(tags=("db",)))
    browser.post("/review?place=1", action="merge", **settled)
    assert f"{one} was changed since it was shown" in browser.page("/review?place=1")
    settled["seen"] = ["2", "1"]
    browser.post("/review?place=1", action="merge", **settled)
    assert library.get(other).superseded_by == one
    browser.post("/review", action="approve", of="quarantined", id=[held])
    assert "Nothing needs a look." in browser.page("/review")


def test_several_are_changed_at_once_or_none_where_one_is_refused(
    browser: Browser, library: Library
) -> None:
    ids = add(library, a_lesson(BEFORE), a_lesson("Water the plants."))
    library.curate(ids[1], Curation.RETIRE, reason="x")
    answer = browser.post("/experiences?status=all", 400, action="retire", id=ids)
    assert f"{ids[1]}: an experience that is retired cannot be retired" in answer.text
    assert library.get(ids[0]).status is Status.ACTIVE
    browser.post("/experiences", action="retire", id=ids[:1])
    assert "retired: 1" in browser.page("/experiences?status=all")
    assert "no lesson is chosen" in browser.post("/experiences", 400, action="retire").text
