"""What a view is given and gives, and how its answer becomes a page: templates, headers, forms."""

import functools
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData, ImmutableMultiDict, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from flex_mcp.app import App
from flex_mcp.errors import FlexError, InputError, LibraryError, NotFoundError
from flex_mcp.safety.quoting import visible
from flex_mcp.web.sessions import Notice, Session, Sessions

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a browser asks of a view: its address, and the form that was sent."""

    app: App
    session: Session
    path: Mapping[str, str]
    query: QueryParams
    form: ImmutableMultiDict[str, Any] = field(default_factory=FormData)

    def text(self, name: str) -> str | None:
        """A field of the form, else of the address; None where it is empty."""
        value = self.form.get(name, self.query.get(name))
        return value.strip() or None if isinstance(value, str) else None

    def tell(self, notice: Notice) -> None:
        """Say this on the next page."""
        self.session.notices.append(notice)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: a template with its values."""

    template: str
    values: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Moved:
    """Another page, after a change."""

    to: str


View = Callable[[Asked], Shown | Moved]


def seen(value: object) -> object:
    """What a template puts out: texts with what nobody sees as codes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def templates() -> Environment:
    return Environment(
        loader=PackageLoader("flex_mcp.web"),
        autoescape=True,
        finalize=seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def with_query(query: QueryParams, /, **changes: str | None) -> str:
    """An address's query with other values; None leaves one out."""
    kept = [(name, value) for name, value in query.multi_items() if name not in changes]
    return "?" + urlencode([*kept, *((k, v) for k, v in changes.items() if v is not None)])


def render(shown: Shown, **values: object) -> Response:
    text = (
        templates()
        .get_template(shown.template)
        .render({**shown.values, **values, "with_query": with_query})
    )
    return HTMLResponse(text, shown.status, HEADERS)


def moved(to: str) -> Response:
    return RedirectResponse(to, 303, HEADERS)


class Pages:
    """Makes endpoints of views: for whoever has a session, and for their own forms."""

    def __init__(self, app: App, sessions: Sessions, cookie: Callable[[Request], str]) -> None:
        self._app = app
        self._sessions = sessions
        self.cookie = cookie

    def session(self, request: Request) -> Session | None:
        return self._sessions.get(request.cookies.get(self.cookie(request), ""))

    def endpoint(self, view: View) -> Callable[[Request], Any]:
        """An endpoint that shows what a view gives, or why it cannot."""

        async def shown(request: Request) -> Response:
            session = self.session(request)
            if session is None:
                return moved("/login")
            form = FormData()
            if request.method == "POST":
                form = await request.form(max_files=0, max_fields=1_000)
                if is_foreign(request) or not _is_own(form, session):
                    return _refused(session)
            asked = Asked(
                app=self._app,
                session=session,
                path=request.path_params,
                query=request.query_params,
                form=form,
            )
            return await anyio.to_thread.run_sync(_answered, view, asked, request.url.path)

        return shown

    async def changes(self, request: Request) -> Response:
        """The number of the last change, for a tab that looks whether something is new."""
        if self.session(request) is None:
            return JSONResponse({}, 401, HEADERS)
        last = await anyio.to_thread.run_sync(self._app.library.catalogue.last_change)
        return JSONResponse({"last": last.number}, headers=HEADERS)


def is_foreign(request: Request) -> bool:
    """Whether another page made the browser send this; its Origin was looked at before."""
    return request.headers.get("sec-fetch-site") not in {None, "same-origin"}


def _is_own(form: FormData, session: Session) -> bool:
    given = form.get("csrf")
    return isinstance(given, str) and hmac.compare_digest(given.encode(), session.csrf.encode())


def _refused(session: Session) -> Response:
    said = "This form is not of this session: go back, load the page anew, and send it again."
    values = {"title": "Not sent", "text": said}
    return render(Shown("error.html", values, 403), session=session, path="", notices=())


def _answered(view: View, asked: Asked, path: str) -> Response:
    change = 0
    try:
        change = asked.app.library.catalogue.last_change().number  # before what is shown
        made = view(asked)
    except FlexError as error:
        made = Shown("error.html", {"title": "That did not go", "text": str(error)}, _status(error))
    if isinstance(made, Moved):
        return moved(made.to)
    notices = tuple(asked.session.notices)
    asked.session.notices.clear()
    return render(
        made,
        session=asked.session,
        path=path,
        address=asked.query,
        notices=notices,
        change=change,
    )


def _status(error: FlexError) -> int:
    match error:
        case NotFoundError():
            return 404
        case InputError():
            return 400
        case LibraryError():
            return 503
        case _:
            return 500
