"""The page in a real browser, as its user has it: by mouse and keyboard, light and dark, narrow."""

import signal
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.browser import PageProcess, browser, expect, served_page, violations
from support.fakes import a_lesson, add

from flex_mcp import open_library
from flex_mcp.models import Action, Curation, Zone

pytestmark = pytest.mark.process

BEFORE = "Always run database migrations before you deploy the service."
AFTER = "Always run database migrations after you deploy the service."
LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 4


@pytest.fixture(scope="module")
def chromium() -> Generator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "library.db"
    with open_library(path) as library:
        first, _ = add(
            library,
            a_lesson(BEFORE, title=BEFORE, when="deploying", domain="devops", project="shop"),
            a_lesson(AFTER, title=AFTER, zone=Zone.WARNING, action=Action.ADD),
        )
        add(library, a_lesson(LONG, title=LONG[:110], examples=("one → two",), tags=("words",)))
        library.curate(first, Curation.APPROVE, reason="read it")
    return path


@pytest.fixture
def page(path: Path) -> Generator[PageProcess]:
    with served_page(path) as served:
        yield served


def _note(tab: Any, said: Any) -> None:
    tab.blocked.append(said.text)


def opened(chromium: Any, page: PageProcess, **looks: Any) -> Any:
    """A tab that is logged in; what the policy blocks fails the test when it is closed."""
    tab = chromium.new_context(**looks).new_page()
    tab.set_default_timeout(20_000)
    tab.blocked = []
    tab.on("console", partial(_note, tab))
    tab.goto(page.address)
    tab.wait_for_url("**/experiences")
    return tab


def addresses(tab: Any, url: str) -> Generator[str]:
    """Every page, with each of its forms open."""
    tab.goto(f"{url}/experiences")
    lesson = tab.locator("td.title a").first.get_attribute("href")
    for address in ("/experiences", lesson, f"{lesson}?edit=1", "/search", "/review"):
        yield f"{url}{address}"
    yield f"{url}/search?query={BEFORE}&project=all"
    yield f"{url}/experiences?text=nowhere"
    yield f"{url}/experiences/e_nowhere"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_every_page_can_be_read_by_all(
    chromium: Any, page: PageProcess, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    tab = opened(chromium, page, color_scheme=scheme, viewport=size, bypass_csp=False)
    for address in addresses(tab, page.url):
        tab.goto(address)
        assert violations(tab) == ""
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, address
    assert [one for one in tab.blocked if "Content Security" in one] == []


def test_a_lesson_is_found_and_edited_by_keyboard_alone(chromium: Any, page: PageProcess) -> None:
    tab = opened(chromium, page)
    tab.keyboard.press("/")
    tab.keyboard.type("migrations before")
    tab.keyboard.press("Enter")
    expect(tab.locator(".sentence")).to_contain_text("1 active lesson")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    tab.get_by_role("link", name="edit").focus()
    tab.keyboard.press("Enter")
    tab.get_by_label("When").focus()
    tab.keyboard.press("Control+a")
    tab.keyboard.type("releasing")
    tab.get_by_role("button", name="Save").focus()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("status")).to_contain_text("edit")
    expect(tab.locator(".when").first).to_contain_text("releasing")
    tab.get_by_role("button", name="Undo").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".when").first).to_contain_text("deploying")


def test_everything_works_without_script_too(chromium: Any, page: PageProcess) -> None:
    tab = chromium.new_context(java_script_enabled=False).new_page()
    tab.goto(page.address)
    tab.click("text=Open >> nth=-1")
    expect(tab.locator("h1")).to_have_text("Lessons")
    tab.check(f"[aria-label='Choose {AFTER}']")
    tab.click("button[value=retire]")
    expect(tab.get_by_role("status")).to_contain_text("retired: 1")
    tab.click("text=Log out")
    expect(tab.locator("h1")).to_have_text("Open the library")


def test_what_another_process_changes_is_said_and_not_reloaded(
    chromium: Any, page: PageProcess, path: Path
) -> None:
    tab = opened(chromium, page)
    expect(tab.get_by_text("The library changed")).to_be_hidden()
    with open_library(path) as library:
        add(library, a_lesson("Water the plants."))
    expect(tab.get_by_text("The library changed")).to_be_visible()
    tab.click("text=Load anew")
    expect(tab.locator(".sentence")).to_contain_text("4 active lessons")
    expect(tab.get_by_text("The library changed")).to_be_hidden()


def test_a_second_browser_gets_in_by_the_next_address(chromium: Any, page: PageProcess) -> None:
    opened(chromium, page)
    page.address = page.next_address()
    opened(chromium, page)


def test_what_somebody_writes_is_not_left_by_mistake(chromium: Any, page: PageProcess) -> None:
    tab = opened(chromium, page)
    tab.click("td.title a >> nth=0")
    tab.click("text=edit >> nth=0")
    tab.get_by_label("When").fill("something new")
    asked: list[str] = []

    def dismiss(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    tab.on("dialog", dismiss)
    tab.get_by_role("link", name="Lessons").click(no_wait_after=True)
    tab.wait_for_timeout(200)
    assert asked == ["beforeunload"]


def test_ctrl_c_ends_it_at_once_with_tabs_open(chromium: Any, page: PageProcess) -> None:
    tab = opened(chromium, page)
    for _ in range(4):
        tab.context.new_page().goto(f"{page.url}/search")
    page.process.send_signal(signal.SIGINT)
    assert page.process.wait(timeout=20) == 0
