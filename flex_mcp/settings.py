"""Settings: the only reader of the environment.

| variable | meaning | default |
|---|---|---|
| FLEX_MCP_LIBRARY | the library's file | library.db in the user's data folder |
| FLEX_MCP_EMBEDDER | static, or fastembed:MODEL | the library's own |
| FLEX_MCP_EMBEDDER_PATH | a folder with that model's files | none: the model cache |
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from flex_mcp.errors import SettingError

NAME = "flex-mcp"


def _default_library() -> Path:
    return platformdirs.user_data_path(NAME, appauthor=False) / "library.db"


def _default_models() -> Path:
    return platformdirs.user_cache_path(NAME, appauthor=False) / "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user chose. Paths are absolute; `embedder` is None for the library's own."""

    library: Path = field(default_factory=_default_library)
    embedder: str | None = None
    embedder_path: Path | None = None
    models: Path = field(default_factory=_default_models)

    @classmethod
    def from_environment(
        cls, library: str | None = None, environment: Mapping[str, str] | None = None
    ) -> "Settings":
        """The settings of a process; `library` comes from the command line and beats the variable.

        Raises:
            SettingError: a path names a home that is not here.
        """
        variables = os.environ if environment is None else environment  # noqa: TID251  the one place
        path = library or variables.get("FLEX_MCP_LIBRARY")
        embedder = variables.get("FLEX_MCP_EMBEDDER") or None
        folder = variables.get("FLEX_MCP_EMBEDDER_PATH") or None
        return cls(
            library=_absolute(path) if path else _default_library(),
            embedder=embedder,
            embedder_path=_absolute(folder) if folder else None,
        )


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise SettingError(
            f"the path {path} names a home that is not here: write it out"
        ) from error
