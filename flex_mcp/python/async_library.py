"""The same library for code that must not block: each verb runs in a worker thread.

A verb that has begun goes on to its end, whatever becomes of its caller, so it does all or nothing.
"""

import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from anyio import CancelScope, to_thread

from flex_mcp.errors import LibraryError
from flex_mcp.models import Experience
from flex_mcp.python.library import PAGE, Library, open_library

if TYPE_CHECKING:
    from flex_mcp.search.own_embedder import OwnEmbedder

BLOCKING = {  # verbs of Library that are not here, and why
    "reading": "each verb of the snapshot that it gives would block: `library.reading`",
    "close": "`aclose` waits without blocking",
}
P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    verb: Callable[Concatenate[Library, P], T],
) -> "Callable[Concatenate[AsyncLibrary, P], Coroutine[Any, Any, T]]":
    """A verb of Library, with its arguments and its documentation, to be awaited."""

    @functools.wraps(verb)
    async def awaiting(self: "AsyncLibrary", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await to_thread.run_sync(lambda: verb(self.library, *args, **kwargs))

    return awaiting


class AsyncLibrary:
    """A library to be used in an `async with`; `open_async_library` makes it.

    Its verbs are those of `Library`, awaited. A callback such as `progress`, an embedder or a model
    of your own is called in the worker thread. Whoever is cancelled by a scope of AnyIO while a
    verb runs waits for it; a task that asyncio itself cancels goes at once, and the verb ends
    behind it. The file is closed at the end of the `async with`, however that ends.
    """

    def __init__(self, opening: Callable[[], Library]) -> None:
        self._opening = opening
        self._opened: Library | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def library(self) -> Library:
        """The one that blocks, for what this has not.

        Raises:
            LibraryError: it is not open.
        """
        if self._opened is None:
            raise LibraryError("the library is not open: use it inside of its `async with`")
        return self._opened

    @property
    def name(self) -> str:
        """Where the library lives, such as its path.

        Raises:
            LibraryError: it is not open.
        """
        return self.library.name

    @property
    def read_only(self) -> bool:
        """Whether it cannot be written, as far as is known.

        Raises:
            LibraryError: it is not open.
        """
        return self.library.read_only

    async def __aenter__(self) -> Self:
        try:
            await to_thread.run_sync(self._open)
        except BaseException:
            await self.aclose()  # it may have been opened for whoever is gone
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write what waits and let go of the file, even where the caller is cancelled."""
        with CancelScope(shield=True):
            await to_thread.run_sync(self._close)

    def _open(self) -> None:
        with self._lock:
            if not self._closed:
                self._opened = self._opening()

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    async def __aiter__(self) -> AsyncIterator[Experience]:
        left = iter(self.library)
        while page := await to_thread.run_sync(lambda: [*islice(left, PAGE)]):
            for experience in page:
                yield experience

    count = _awaited(Library.__len__)

    search = _awaited(Library.search)
    waiting = _awaited(Library.waiting)
    calibrate = _awaited(Library.calibrate)
    neighbours = _awaited(Library.neighbours)
    get = _awaited(Library.get)
    whole = _awaited(Library.whole)
    history = _awaited(Library.history)
    trajectories = _awaited(Library.trajectories)
    count_trajectories = _awaited(Library.count_trajectories)
    whole_trajectories = _awaited(Library.whole_trajectories)
    experiences = _awaited(Library.experiences)
    count_experiences = _awaited(Library.count_experiences)
    domains = _awaited(Library.domains)
    projects = _awaited(Library.projects)
    statistics = _awaited(Library.statistics)
    weeks = _awaited(Library.weeks)
    last_revisions = _awaited(Library.last_revisions)
    last_writes = _awaited(Library.last_writes)
    long_writes = _awaited(Library.long_writes)
    record = _awaited(Library.record)
    record_many = _awaited(Library.record_many)
    report = _awaited(Library.report)
    report_trajectory = _awaited(Library.report_trajectory)
    add = _awaited(Library.add)
    apply = _awaited(Library.apply)
    distill = _awaited(Library.distill)
    curate = _awaited(Library.curate)
    curate_all = _awaited(Library.curate_all)
    merge = _awaited(Library.merge)
    rename_domain = _awaited(Library.rename_domain)
    rename_project = _awaited(Library.rename_project)
    needs_consent = _awaited(Library.needs_consent)
    explain = _awaited(Library.explain)
    suggestions = _awaited(Library.suggestions)
    find_pairs = _awaited(Library.find_pairs)
    dismiss = _awaited(Library.dismiss)
    forgettable = _awaited(Library.forgettable)
    forget = _awaited(Library.forget)
    finish_forgetting = _awaited(Library.finish_forgetting)
    clean = _awaited(Library.clean)
    import_entries = _awaited(Library.import_entries)
    import_bundle = _awaited(Library.import_bundle)
    backup = _awaited(Library.backup)
    export = _awaited(Library.export)
    import_file = _awaited(Library.import_file)
    reindex = _awaited(Library.reindex)


def open_async_library(
    path: str | Path | None = None,
    *,
    embedder: "str | OwnEmbedder | None" = None,
    embedder_path: str | Path | None = None,
) -> AsyncLibrary:
    """A library for `async with`, which opens it; the arguments and errors of `open_library`."""
    return AsyncLibrary(lambda: open_library(path, embedder=embedder, embedder_path=embedder_path))
