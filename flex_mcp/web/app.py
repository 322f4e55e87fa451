"""The routes of the page: the way in and out, what a browser loads, and a view each."""

import secrets
from collections.abc import Callable, Sequence
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from flex_mcp.app import App
from flex_mcp.errors import InputError
from flex_mcp.web.pages import HEADERS, Pages, Shown, View, is_foreign, moved, render
from flex_mcp.web.sessions import Sessions
from flex_mcp.web.views import experience, experiences, review, search

STATIC = {
    "icon.svg": "image/svg+xml",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
HOME = "/experiences"


def routes(
    app: App, sessions: Sessions, say_address: Callable[[], object] = lambda: None
) -> list[BaseRoute]:
    """All routes of the page.

    Args:
        app: whose library is shown.
        sessions: who is let in.
        say_address: tells the person the next address, once a key was used.
    """
    pages = Pages(app, sessions, cookie_name)
    door = _Door(pages, sessions, say_address)
    shown: list[tuple[str, View, Sequence[str]]] = [
        ("/search", search.search, ["GET"]),
        ("/experiences", experiences.listing, ["GET"]),
        ("/experiences", experiences.change, ["POST"]),
        ("/experiences/{id}", experience.show, ["GET"]),
        ("/experiences/{id}", experience.change, ["POST"]),
        ("/review", review.show, ["GET"]),
        ("/review", review.change, ["POST"]),
    ]
    return [
        Route("/", pages.endpoint(lambda _: experiences.home()), methods=["GET"]),
        Route("/login", door.login, methods=["GET", "POST"]),
        Route("/logout", door.logout, methods=["POST"]),
        Route("/changes", pages.changes, methods=["GET"]),
        Route("/static/{name}", _static, methods=["GET"]),
        *(Route(path, pages.endpoint(view), methods=[*methods]) for path, view, methods in shown),
    ]


def cookie_name(request: Request) -> str:
    """The cookie of a session: browsers share cookies between the ports of a host."""
    return f"flex_mcp_{request.url.port or 80}"


class _Door:
    """The way in and out."""

    def __init__(self, pages: Pages, sessions: Sessions, say_address: Callable[[], object]) -> None:
        self._pages = pages
        self._sessions = sessions
        self._say_address = say_address

    async def login(self, request: Request) -> Response:
        """GET shows a form and uses nothing up; the POST that the person sends opens a session."""
        if request.method == "GET":
            return self._form(request.query_params.get("key", ""))
        if is_foreign(request):
            return self._form("", "This was sent by another page: type it here.", 403)
        given = (await request.form(max_files=0, max_fields=10)).get("key")
        try:
            session = self._sessions.open(given.strip() if isinstance(given, str) else "")
        except InputError as error:
            return self._form("", str(error), 429)
        if session is None:
            return self._form("", self._unknown(), 403)
        if not self._sessions.takes_tokens:
            self._say_address()
        answer = moved(HOME)
        name = self._pages.cookie(request)
        answer.set_cookie(name, session.id, httponly=True, samesite="lax", path="/")
        return answer

    def _unknown(self) -> str:
        if self._sessions.takes_tokens:
            return "No token of this server is so: it is one of FLEX_MCP_TOKENS, or FLEX_MCP_TOKEN."
        return (
            "This key was used, is older than ten minutes, or was never one: the terminal in which "
            "flex-mcp runs shows the next address."
        )

    def _form(self, key: str, refusal: str = "", status: int = 200) -> Response:
        what = "Token" if self._sessions.takes_tokens else "Key"
        values = {"key": key, "what": what, "refusal": refusal}
        return render(Shown("login.html", values, status), session=None, path="/login", notices=())

    async def logout(self, request: Request) -> Response:
        session = self._pages.session(request)
        given = (await request.form(max_files=0, max_fields=10)).get("csrf")
        own = isinstance(given, str) and session is not None
        if session is not None and own and secrets.compare_digest(str(given), session.csrf):
            self._sessions.close(session)
        answer = moved("/login")
        answer.delete_cookie(self._pages.cookie(request))
        return answer


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("There is no such file", 404, HEADERS)
    content = (files("flex_mcp.web") / "static" / name).read_bytes()
    return Response(content, media_type=STATIC[name], headers=HEADERS)
