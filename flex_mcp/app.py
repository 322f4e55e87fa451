"""The composition root: Settings become an App with its Library, opened once, when first used."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from flex_mcp.settings import Settings

if TYPE_CHECKING:
    from flex_mcp.distiller import Distiller
    from flex_mcp.library import Library


class App:
    """What the doors work with.

    `library` opens the file at its first use, so that the handshake waits for nothing; where that
    fails, the next use tries again.
    """

    def __init__(self, settings: Settings | None = None, *, library: str | None = None) -> None:
        self._settings = settings
        self._path = library
        self._library: Library | None = None
        self._lock = threading.Lock()

    @property
    def library(self) -> "Library":
        """The library.

        Raises:
            LibraryError: its file cannot be opened.
            SettingError: a setting cannot be used.
        """
        with self._lock:
            if self._library is None:
                self._library = build(
                    self._settings or Settings.from_environment(library=self._path)
                )
            return self._library

    @property
    def distiller(self) -> "Distiller":
        """The library's distiller; raises what `library` does."""
        from flex_mcp.distiller import Distiller

        return Distiller(self.library)

    def close(self) -> None:
        with self._lock:
            if self._library is not None:
                self._library.close()
            self._library = None


def build(settings: Settings) -> "Library":
    """The library that the settings name, opened.

    Raises:
        LibraryError: its file cannot be opened.
    """
    from flex_mcp import embedder
    from flex_mcp.library import Library
    from flex_mcp.sqlite import SqliteStore

    def load(name: str, fetch: bool) -> embedder.Embedder:  # noqa: FBT001  a seam of two words
        return embedder.load(
            name, cache=settings.models, folder=settings.embedder_path, fetch=fetch
        )

    return Library(SqliteStore(settings.library), load, wanted=settings.embedder)


def open_library(
    path: str | Path | None = None,
    *,
    embedder: str | None = None,
    embedder_path: str | Path | None = None,
) -> "Library":
    """Open an experience library; a new file is made where there is none. Use it in a `with`.

    Args:
        path: its file; None takes FLEX_MCP_LIBRARY or the default place.
        embedder: `static` or `fastembed:MODEL`; None takes FLEX_MCP_EMBEDDER or the library's own.
        embedder_path: a folder with the model's files.

    Raises:
        LibraryError: the file cannot be opened, or is no library.
    """
    found = Settings.from_environment(library=None if path is None else str(path))
    folder = embedder_path and Path(embedder_path).expanduser().absolute()
    return build(
        Settings(
            library=found.library,
            embedder=embedder or found.embedder,
            embedder_path=folder or found.embedder_path,
            models=found.models,
        )
    )
