"""The page beside the MCP paths of one server: what opens which, and what each process loads."""

import http.client
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from support.browser import csrf_in
from support.fakes import a_lesson, add
from support.http_server import Served, handshake, served
from support.terminal import refused

from flex_mcp import open_library

pytestmark = pytest.mark.process

TOKENS = {"FLEX_MCP_TOKENS": "anna:curates:curate,ben:reads:read,cleo:writes"}


def stocked(folder: Path) -> str:
    with open_library(folder / "library.db") as library:
        return add(library, a_lesson("Water the plants in the evening."))[0]


@pytest.fixture
def server(tmp_path: Path) -> Generator[Served]:
    with served(tmp_path, settings=TOKENS) as process:
        yield process


def asked(
    server: Served, method: str, path: str, form: dict[str, Any] | None = None, **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    """Status, text and headers of an answer, as a browser asks."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = None if form is None else urlencode(form)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def logged_in(server: Served, token: str) -> str:
    status, _, headers = asked(server, "POST", "/login", {"key": token})
    assert status == 303
    return headers["Set-Cookie"].partition(";")[0]


def test_a_session_never_opens_mcp_and_a_bearer_token_never_a_page(
    server: Served, tmp_path: Path
) -> None:
    id_ = stocked(tmp_path)
    cookie = logged_in(server, "curates")
    for path in ("/mcp", "/sse", "/messages/"):
        assert asked(server, "GET", path, Cookie=cookie)[0] == 401
        assert asked(server, "POST", path, {}, Cookie=cookie)[0] == 401
    for path in ("/", "/search", "/experiences", f"/experiences/{id_}", "/review"):
        status, _, headers = asked(server, "GET", path, Authorization="Bearer curates")
        assert (status, headers["Location"]) == (303, "/login")
        assert asked(server, "GET", path, Cookie=cookie)[0] in {200, 303}
    assert handshake(server, Authorization="Bearer writes")


def test_a_page_of_another_origin_changes_nothing(server: Served, tmp_path: Path) -> None:
    id_ = stocked(tmp_path)
    cookie = logged_in(server, "curates")
    path = f"/experiences/{id_}"
    csrf = csrf_in(asked(server, "GET", path, Cookie=cookie)[1])
    form = {"csrf": csrf, "action": "retire"}
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}"):
        assert asked(server, "POST", path, form, Cookie=cookie, Origin=origin)[0] == 403
    assert asked(server, "GET", path, Cookie=cookie, Host="evil.example")[0] == 421
    ours = f"http://127.0.0.1:{server.port}"
    assert asked(server, "POST", path, form, Cookie=cookie, Origin=ours)[0] == 303


@pytest.mark.parametrize(
    ("token", "retires", "approves"),
    [("reads", False, False), ("writes", True, False), ("curates", True, True)],
)
def test_a_token_may_do_what_it_says(
    server: Served, tmp_path: Path, token: str, *, retires: bool, approves: bool
) -> None:
    path = f"/experiences/{stocked(tmp_path)}"
    cookie = logged_in(server, token)
    csrf = csrf_in(asked(server, "GET", path, Cookie=cookie)[1])
    done = {
        action: asked(server, "POST", path, {"csrf": csrf, "action": action}, Cookie=cookie)[0]
        for action in ("approve", "retire")
    }
    assert done == {"approve": 303 if approves else 400, "retire": 303 if retires else 400}


def test_without_tokens_the_server_says_an_address_that_may_not_approve(tmp_path: Path) -> None:
    path = f"/experiences/{stocked(tmp_path)}"
    with served(tmp_path) as server:
        assert server.page.startswith(f"{server.url}/login?key=")
        cookie = logged_in(server, server.page.rpartition("=")[2])
        csrf = csrf_in(asked(server, "GET", path, Cookie=cookie)[1])
        approve = {"csrf": csrf, "action": "approve"}
        assert asked(server, "POST", path, approve, Cookie=cookie)[0] == 400


def test_a_library_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    said = refused("web", "--no-open", "--library", tmp_path / "nothing.db")
    assert "there is no library" in said


def test_a_server_over_stdio_loads_neither_the_page_nor_its_templates() -> None:
    program = (
        "import sys, flex_mcp.server.server, flex_mcp.transports.stdio\n"
        "print([name for name in sys.modules if name.startswith(('flex_mcp.web', 'jinja2'))])"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
