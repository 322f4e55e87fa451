"""The composition root: Settings become an App with its Library, opened once, when first used."""

import functools
import threading
from typing import TYPE_CHECKING, TypedDict

from flex_mcp.errors import LibraryError, SettingError
from flex_mcp.settings import Distilling, Settings, one_thread

if TYPE_CHECKING:
    from flex_mcp.learning.distiller import Distiller
    from flex_mcp.learning.llm import AnthropicLLM
    from flex_mcp.learning.prompts import Prompts
    from flex_mcp.library.library import Library
    from flex_mcp.safety.redaction import Redactor
    from flex_mcp.search.embedder_choice import LoadEmbedder
    from flex_mcp.search.own_embedder import OwnEmbedder
    from flex_mcp.storage.protocol import Store


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

    @functools.cached_property  # every call asks, and reading the settings takes its time
    def is_placed(self) -> bool:
        """Whether it is known, or was said, where the work is: then no client is asked for it."""
        settings = self.settings
        return bool(self.project or settings.project_name or settings.project_folder)

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


class Parts(TypedDict):
    """What a Library is made of."""

    store: "Store"
    load_embedder: "LoadEmbedder"
    wanted: str | None
    redactor: "Redactor"


def build(settings: Settings, *, new: bool = True) -> "Library":
    """The library that the settings name, opened; `new` as in `App`.

    Raises:
        LibraryError: its file cannot be opened.
    """
    from flex_mcp.library.library import Library

    return Library(**parts(settings, new=new))


def parts(settings: Settings, *, new: bool = True, own: "OwnEmbedder | None" = None) -> Parts:
    """The parts of the library that the settings name, its file opened.

    `own` is an embedder of the caller's, which takes the place of the one that they name.

    Raises:
        LibraryError: its file cannot be opened.
    """
    from flex_mcp.safety.redaction import Redactor
    from flex_mcp.search import embedder
    from flex_mcp.storage.sqlite.store import SqliteStore

    try:
        redactor = Redactor(settings.redacting)
    except SettingError as error:
        redactor = Redactor(refusal=str(error))  # whoever writes is told; the handshake goes on

    def load(name: str, fetch: bool) -> embedder.Embedder:  # noqa: FBT001  a seam of two words
        if own is not None:
            from flex_mcp.search import own_embedder

            if name == own_embedder.named(own):
                return own_embedder.NamedEmbedder(own)
        return embedder.load(
            name, cache=settings.models, folder=settings.embedder_path, fetch=fetch
        )

    wanted = settings.embedder if own is None else f"{embedder.PYTHON}{own.name}"
    store = SqliteStore(settings.library, new=new)
    return Parts(store=store, load_embedder=load, wanted=wanted, redactor=redactor)


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
