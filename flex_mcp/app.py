"""The composition root: Settings become an App with its Library, opened once, when first used."""

import functools
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flex_mcp.errors import LibraryError, SettingError
from flex_mcp.settings import Distilling, Settings, one_thread, path_of

if TYPE_CHECKING:
    from flex_mcp.learning.distiller import Distiller
    from flex_mcp.learning.llm import AnthropicLLM
    from flex_mcp.learning.prompts import Prompts
    from flex_mcp.library.library import Library


class App:
    """What the doors work with.

    `library` opens the file at its first use, so that the handshake waits for nothing; where that
    fails, the next use tries again. `new` says whether one is made where there is none.
    """

    def __init__(
        self, settings: Settings | None = None, *, library: str | None = None, new: bool = True
    ) -> None:
        one_thread()
        self._settings = settings
        self._path = library
        self._new = new
        self._library: Library | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def settings(self) -> Settings:
        """What the user chose.

        Raises:
            SettingError: a setting cannot be used.
        """
        return self._settings or Settings.from_environment(library=self._path)

    @property
    def library(self) -> "Library":
        """The library.

        Raises:
            LibraryError: its file cannot be opened.
            SettingError: a setting cannot be used.
        """
        with self._lock:
            if self._closed:  # whoever comes now was given up, and has nobody to answer
                raise LibraryError("the library was closed: start again to open it")
            if self._library is None:
                self._library = build(self.settings, new=self._new)
            return self._library

    @functools.cached_property
    def project(self) -> str | None:
        """The project that is worked on where this process was started, if it is known.

        Raises:
            SettingError: FLEX_MCP_PROJECT cannot be a name.
        """
        return self.settings.project

    @property
    def publishes_skills(self) -> bool:
        """Whether approved experiences are published as skills."""
        try:
            return self.settings.skills
        except SettingError:
            return False  # the first call says what is wrong; the handshake goes on

    @property
    def is_there(self) -> bool:
        """Whether there is a library yet.

        Raises:
            SettingError: a setting cannot be used.
        """
        path = self.settings.library
        try:
            return self._library is not None or path.exists()
        except OSError:
            return True  # opening it says what is wrong

    @property
    def distiller(self) -> "Distiller":
        """The library's distiller; raises what `library` does."""
        from flex_mcp.learning.distiller import Distiller

        settings = self.settings
        return Distiller(
            self.library,
            self.prompts,
            llm=own_llm(settings),
            lending=settings.road in {Distilling.AUTO, Distilling.SAMPLING},
        )

    @property
    def llm(self) -> "AnthropicLLM":
        """This machine's own model.

        Raises:
            SettingError: there is none.
        """
        settings = self.settings
        if llm := own_llm(settings):
            return llm
        if settings.road in {Distilling.SAMPLING, Distilling.ASSISTANT}:
            raise SettingError(
                f"FLEX_MCP_DISTILLER={settings.road} leaves the lessons to your assistant: "
                "let it call distill, or unset FLEX_MCP_DISTILLER"
            )
        raise SettingError(
            "there is no model to ask: set ANTHROPIC_API_KEY, "
            "or let your assistant call distill, which gives it a brief"
        )

    @property
    def prompts(self) -> "Prompts":
        """The prompts, the user's own among them."""
        from flex_mcp.learning.prompts import Prompts

        return Prompts(self.settings.prompts_folder)

    def close(self) -> None:
        """Close the library for good: what still works on it opens none."""
        with self._lock:
            self._closed = True
            if self._library is not None:
                self._library.close()
            self._library = None


def build(settings: Settings, *, new: bool = True) -> "Library":
    """The library that the settings name, opened; `new` as in `App`.

    Raises:
        LibraryError: its file cannot be opened.
    """
    from flex_mcp.library.library import Library
    from flex_mcp.safety.redaction import Redactor
    from flex_mcp.search import embedder
    from flex_mcp.storage.sqlite.store import SqliteStore

    try:
        redactor = Redactor(settings.redacting)
    except SettingError as error:
        redactor = Redactor(refusal=str(error))  # whoever writes is told; the handshake goes on

    def load(name: str, fetch: bool) -> embedder.Embedder:  # noqa: FBT001  a seam of two words
        return embedder.load(
            name, cache=settings.models, folder=settings.embedder_path, fetch=fetch
        )

    store = SqliteStore(settings.library, new=new)
    return Library(store, load, wanted=settings.embedder, redactor=redactor)


def own_llm(settings: Settings) -> "AnthropicLLM | None":
    """The model that this machine may ask; None where the settings name none.

    Raises:
        SettingError: it is asked for by name, and there is no key.
    """
    from flex_mcp.learning.llm import AnthropicLLM

    wanted = settings.road
    if wanted is Distilling.ANTHROPIC and not settings.api_key:
        raise SettingError(
            "FLEX_MCP_DISTILLER=anthropic needs ANTHROPIC_API_KEY: set it (a server at "
            "ANTHROPIC_BASE_URL that asks for none takes any text), or unset FLEX_MCP_DISTILLER"
        )
    if wanted not in {Distilling.AUTO, Distilling.ANTHROPIC} or not settings.api_key:
        return None
    return AnthropicLLM(settings.api_key, model=settings.model, base_url=settings.base_url)


def open_library(
    path: str | Path | None = None,
    *,
    embedder: str | None = None,
    embedder_path: str | Path | None = None,
) -> "Library":
    """Open an experience library; a new file is made where there is none. Use it in a `with`.

    Args:
        path: its file; None takes FLEX_MCP_LIBRARY or the default place.
        embedder: `ours`, `static` or `fastembed:MODEL`; None takes FLEX_MCP_EMBEDDER or the
            library's own.
        embedder_path: a folder with the model's files.

    Raises:
        LibraryError: the file cannot be opened, or is no library.
    """
    named = None if path is None else str(path)
    found = Settings.from_environment(named, said_by="the library's path")
    if embedder_path:
        folder = path_of(str(embedder_path), "embedder_path", folder=True)
        found = replace(found, embedder_path=folder)
    return build(replace(found, embedder=embedder or found.embedder))
