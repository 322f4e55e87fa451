"""The page as people have it: a server process, and a real browser."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


def _loaded(name: str) -> Any:
    """A module of an extra of its own; None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


PLAYWRIGHT, AXE = map(_loaded, ("playwright.sync_api", "axe_playwright_python.sync_playwright"))
BROWSER = Path("/usr/bin/chromium")
MISSING = "needs Chromium, and `pip install -e '.[browser]'`"


@contextmanager
def served_page(library: Path) -> Generator["PageProcess"]:
    """`flex-mcp web` on a free port."""
    command = [sys.executable, "-P", "-m", "flex_mcp", "web", "--no-open", "--library"]
    with subprocess.Popen(
        [*command, str(library)], stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield PageProcess(process)
        finally:
            process.kill()


class PageProcess:
    """The process, and the addresses that it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = self._said("listening on ")
        self.address = self._said("the page: ")

    def _said(self, words: str) -> str:
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert line.startswith(words), line
        return line.removeprefix(words).strip()

    def next_address(self) -> str:
        """The one that is said once a key was used."""
        return self._said("the page: ")


@contextmanager
def browser() -> Generator[Any]:
    """Chromium, which reaches nothing but this machine; skipped, with the reason, without it."""
    if not (PLAYWRIGHT and AXE and BROWSER.exists()):
        if os.environ.get("CI") == "true":  # noqa: TID251  what CI has to install
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with PLAYWRIGHT.sync_playwright() as playwright:
        options = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
        opened = playwright.chromium.launch(executable_path=BROWSER, args=options)
        try:
            yield opened
        finally:
            opened.close()


def expect(what: Any) -> Any:
    return PLAYWRIGHT.expect(what)


def violations(tab: Any) -> str:
    """What some people could not read or reach on a page, by axe; empty where all can."""
    found = AXE.Axe().run(tab)
    return found.generate_report() if found.violations_count else ""


def csrf_in(html: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found is not None
    return found[1]
