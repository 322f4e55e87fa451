"""Settings: the only reader of the environment.

| variable | meaning | default |
|---|---|---|
| FLEX_MCP_LIBRARY | the library's file | library.db in the user's data folder |
| FLEX_MCP_EMBEDDER | ours, static, or fastembed:MODEL | the library's own |
| FLEX_MCP_EMBEDDER_PATH | a folder with that model's files | none: the model cache |
| FLEX_MCP_DISTILLER | who writes lessons: auto, anthropic, sampling or assistant | auto |
| FLEX_MCP_MODEL | the model that is asked with ANTHROPIC_API_KEY | claude-haiku-5-5 |
| FLEX_MCP_PROJECT | the project worked on, or none; not over HTTP | the git repository's name |
| FLEX_MCP_PROMPTS | a folder with prompts that take the place of ours | none |
| FLEX_MCP_TOKEN | over HTTP: the token that reads and writes | none |
| FLEX_MCP_READ_TOKEN | over HTTP: a token that only reads | none |
| FLEX_MCP_TOKENS | over HTTP: tokens with names, commas between: NAME:TOKEN[:read] | none |
| FLEX_MCP_ALLOWED_HOSTS | over HTTP: names of this server, with commas between | loopback's |
| FLEX_MCP_REDACT | secrets in what is stored: off, on or strict | on |
| FLEX_MCP_SKILLS | 1 publishes approved golden experiences as skills | off |
| FLEX_MCP_FAST_START | 0: no answer before the server is loaded (`fast_start.py` reads it) | 1 |
| CLAUDE_PROJECT_DIR | set by Claude Code: the folder that is worked in | where we started |
| ANTHROPIC_API_KEY | the key of a Messages API | none |
| ANTHROPIC_BASE_URL | where that API is | Anthropic's own |
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from flex_mcp import paths, projects
from flex_mcp.errors import SettingError
from flex_mcp.models.vocabulary import PROJECT_LIMIT, clean_project

NAME = "flex-mcp"
NO_PROJECT = "none"  # what FLEX_MCP_PROJECT says where the folder's name shall not count
MODEL = "claude-haiku-5-5"
HOST = "127.0.0.1"
PORT = 8765
S = TypeVar("S", bound=StrEnum)
RIGHTS = "read|write|curate"
TOKEN = rf"(?!(?:{RIGHTS})$)(?!\$\{{)[!-9;-~]+"  # no right alone, and no placeholder
UNFILLED = re.compile(r"\s*(\$\{[^}]*\}\s*)?")
NAMED = re.compile(rf"([\w.-]{{1,40}}):({TOKEN})(?::({RIGHTS}))?", re.ASCII)


class Distilling(StrEnum):
    """Who may be asked for lessons; auto takes the first of them that is there."""

    AUTO = "auto"
    ANTHROPIC = "anthropic"
    SAMPLING = "sampling"
    ASSISTANT = "assistant"


class Redacting(StrEnum):
    """What is taken out of what is stored; what is marked as private always is."""

    OFF = "off"
    ON = "on"  # secrets
    STRICT = "strict"  # and whatever may be one, and e-mail addresses


class Transport(StrEnum):
    """How clients reach the server."""

    STDIO = "stdio"
    HTTP = "http"  # the next two in one process
    SSE = "sse"
    STREAMABLE_HTTP = "streamable-http"


class Access(StrEnum):
    """What a token allows: to read, to write too, and to approve and forget on the page."""

    READ = "read"
    WRITE = "write"
    CURATE = "curate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token over HTTP; `name` says whose it is, where it has one."""

    token: str = field(repr=False)
    access: Access
    name: str = ""


def _default_library() -> Path:
    path = platformdirs.user_data_path(NAME, appauthor=False) / "library.db"
    name = "FLEX_MCP_LIBRARY is not set, and the default"
    return paths.read(str(path), name, os.environ, relative=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose. Paths are absolute; `embedder` is None for the library's own."""

    library: Path = field(default_factory=_default_library)
    embedder: str | None = None
    embedder_path: Path | None = None
    models: Path = field(
        default_factory=lambda: platformdirs.user_cache_path(NAME, appauthor=False) / "models"
    )
    distiller: str = "auto"
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    model: str = MODEL
    project_name: str | None = None
    project_folder: Path | None = None
    prompts: Path | None = None
    token: str | None = field(default=None, repr=False)
    read_token: str | None = field(default=None, repr=False)
    named_tokens: str = field(default="", repr=False)
    allowed_hosts: tuple[str, ...] = ()
    skills: bool = False
    redact: str = Redacting.ON

    @classmethod
    def from_environment(
        cls,
        library: str | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        said_by: str = "--library",
    ) -> "Settings":
        """The settings of a process; a `library` that `said_by` names beats the variable.

        Raises:
            SettingError: a path holds what nothing fills in, or cannot be one here.
        """
        variables = os.environ if environment is None else environment
        # Clients hand on a field that was left empty as it is, or as its placeholder:
        # `${user_config.x}`.
        said = {name: text for name, text in variables.items() if not UNFILLED.fullmatch(text)}
        chosen = {
            field: read(said[variable])
            for variable, (field, read) in VARIABLES.items()
            if variable in said
        }
        chosen |= {
            place: paths.read(text, variable, variables, folder=folder, relative=folder)
            for variable, (place, folder) in PLACES.items()
            if (text := variables.get(variable, ""))
            and (variable in said or paths.filled(text, variables) != text)
            and not (place == "library" and library is not None)
        }
        if library is not None:
            chosen["library"] = paths.read(library, said_by, variables)
        return cls(**chosen)

    @property
    def project(self) -> str | None:
        """The project that is worked on where this process was started, if it is known.

        Raises:
            SettingError: FLEX_MCP_PROJECT is too long for a name.
        """
        name = self.project_name
        if name is not None and len(name) > PROJECT_LIMIT:
            raise SettingError(
                f"FLEX_MCP_PROJECT has {len(name):,} characters; the limit is {PROJECT_LIMIT}: "
                "shorten the name"
            )
        if named := clean_project(name):
            return None if named == NO_PROJECT else named
        return clean_project(projects.project_of(self.project_folder or Path.cwd()))

    # These are checked when something is distilled or recorded: nothing else needs them.

    @property
    def road(self) -> Distilling:
        """Who may be asked for lessons.

        Raises:
            SettingError: FLEX_MCP_DISTILLER names nobody.
        """
        return _one_of(Distilling, "FLEX_MCP_DISTILLER", self.distiller)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens over HTTP.

        Raises:
            SettingError: FLEX_MCP_TOKENS is malformed, or one token would allow two things.
        """
        unnamed = ((self.token, Access.WRITE), (self.read_token, Access.READ))
        found = [Token(token=token, access=access) for token, access in unnamed if token]
        parts = [part.strip() for part in self.named_tokens.split(",")]
        found += [_token(number, part) for number, part in enumerate(parts, start=1) if part]
        if self.token and self.token == self.read_token:
            raise SettingError(
                "FLEX_MCP_TOKEN and FLEX_MCP_READ_TOKEN are the same: "
                "give reading a token of its own"
            )
        if len({one.token for one in found}) < len(found):
            raise SettingError(
                "FLEX_MCP_TOKENS holds a token twice, or that of another variable: "
                "give everybody a token of their own"
            )
        return tuple(found)

    @property
    def redacting(self) -> Redacting:
        """What is taken out of what is stored.

        Raises:
            SettingError: FLEX_MCP_REDACT says something else.
        """
        return _one_of(Redacting, "FLEX_MCP_REDACT", self.redact)

    @property
    def prompts_folder(self) -> Path | None:
        """Where the user's own prompts are.

        Raises:
            SettingError: FLEX_MCP_PROMPTS names no folder.
        """
        if self.prompts is not None and not paths.is_folder(self.prompts):
            raise SettingError(
                f"FLEX_MCP_PROMPTS names {self.prompts}, which is no folder: correct it"
            )
        return self.prompts


def _token(number: int, text: str) -> Token:
    """One of FLEX_MCP_TOKENS; what is wrong with it is said without it."""
    found = NAMED.fullmatch(text)
    if found is None:
        raise SettingError(
            f"FLEX_MCP_TOKENS, entry {number}: write NAME:TOKEN, NAME:TOKEN:read or "
            "NAME:TOKEN:curate, the name of letters, digits, dots, dashes and underscores"
        )
    return Token(name=found[1], token=found[2], access=Access(found[3] or "write"))


def _one_of(kind: type[S], variable: str, text: str) -> S:
    try:
        return kind(text.strip().casefold())
    except ValueError as error:
        raise SettingError(
            f"{variable} cannot be {text!r}; it is one of: {', '.join(kind)}"
        ) from error


def environment() -> Mapping[str, str]:
    """All variables as they are now, for those who look for other programs and their files."""
    return dict(os.environ)


BLAS_THREADS = "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"


def one_thread() -> None:
    """Keep OpenBLAS from starting a thread for each core, unless the user says how many.

    Our products are small: where other programs keep the cores busy, waiting for another thread
    made a search three times as slow. It begins when NumPy is imported, so this comes first.
    """
    if not any(name in os.environ for name in BLAS_THREADS):
        os.environ[BLAS_THREADS[0]] = "1"


def no_telemetry() -> None:
    """Keep ONNX Runtime and the model hub from telling their makers about their use.

    ONNX Runtime begins when it is imported, so this comes first; what the user set stays.
    """
    for name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "1")


def path_of(text: str, name: str, *, folder: bool = False) -> Path:
    """What an option or argument of that name says.

    Raises:
        SettingError: as in `paths.read`.
    """
    return paths.read(text, name, os.environ, folder=folder)


OFF = {"0", "false", "no", "off"}
# Those that name a place, by variable: the field that each fills, and whether it is a folder. A
# file is made where it is missing, so it may not depend on where a client starts us.
PLACES = {
    "FLEX_MCP_LIBRARY": ("library", False),
    "FLEX_MCP_EMBEDDER_PATH": ("embedder_path", True),
    "FLEX_MCP_PROMPTS": ("prompts", True),
}
# The others: by variable, the field that it fills, and how its text is read.
VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "FLEX_MCP_EMBEDDER": ("embedder", str),
    "FLEX_MCP_DISTILLER": ("distiller", str),
    "FLEX_MCP_MODEL": ("model", str),
    "FLEX_MCP_PROJECT": ("project_name", str.strip),
    "CLAUDE_PROJECT_DIR": ("project_folder", Path),
    "FLEX_MCP_TOKEN": ("token", str.strip),
    "FLEX_MCP_READ_TOKEN": ("read_token", str.strip),
    "FLEX_MCP_TOKENS": ("named_tokens", str.strip),
    "FLEX_MCP_ALLOWED_HOSTS": (
        "allowed_hosts",
        lambda text: tuple(name for part in text.split(",") if (name := part.strip())),
    ),
    "FLEX_MCP_REDACT": ("redact", str),
    "FLEX_MCP_SKILLS": ("skills", lambda text: text.strip().casefold() not in OFF),
    "ANTHROPIC_API_KEY": ("api_key", str.strip),
    "ANTHROPIC_BASE_URL": ("base_url", str.strip),
}
