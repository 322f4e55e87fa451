"""What stands in a client's configuration: how flex-mcp is started, in that client's form."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from flex_mcp.clients.catalog import CLIENTS, Client
from flex_mcp.clients.places import ClientName, Machine
from flex_mcp.clients.programs import find
from flex_mcp.errors import ClientError

NAME = "flex-mcp"
MODULE = ("-P", "-m", "flex_mcp")  # without -P Python imports what lies in the current folder
LIBRARY = "FLEX_MCP_LIBRARY"
UV_CACHE = re.compile(r"(archive|builds|environments)-v\d+")  # uv's names for what it may delete
PIPX_CACHE = re.compile(r"[0-9a-f]{15}")  # pipx's for what `pipx run` keeps two weeks
PIPX = "pipx_metadata.json"  # lies in every environment of pipx
LASTING = {
    "uv": "put uvx, which is not found, on the PATH, or run `uv tool install flex-mcp`",
    "pipx": "run `pipx install flex-mcp`",
}
REMOTE = {"url", "httpUrl", "serverUrl"}  # keys of an entry that starts nothing

Entry = dict[str, Any]


class Start(NamedTuple):
    """A command, and the library that it opens, if not the default one."""

    command: str
    args: tuple[str, ...]
    library: str | None = None


def start(
    executable: str, prefix: str, variables: Mapping[str, str], library: Path | None = None
) -> Start:
    """How this flex-mcp is started anew, with absolute paths.

    Args:
        executable: this Python; a link to it stays one, since it is what makes the environment.
        prefix: the environment that it runs in.
        variables: PATH, and what uv says about itself.
        library: the one to open.

    Raises:
        ClientError: it cannot be started in a way that lasts.
    """
    named = None if library is None else str(library)
    _check_text(named or "")
    cache = cache_of(prefix, variables)
    if cache is None:
        if not executable:
            raise ClientError("Python does not say where it is: start flex-mcp by its full path")
        _check_text(executable)
        return Start(str(Path(executable).absolute()), MODULE, named)
    if cache == "uv" and (uvx := find_uvx(variables)):
        return Start(uvx, (NAME,), named)
    raise ClientError(
        f"flex-mcp runs from {cache}'s cache, which does not last: {LASTING[cache]} and then "
        "`flex-mcp install` again"
    )


def cache_of(prefix: str, variables: Mapping[str, str]) -> str | None:
    """Whose cache an environment dies with, uv's or pipx's; the tools that they install last."""
    cache = variables.get("UV_CACHE_DIR")
    path = Path(prefix).resolve()
    if cache and path.is_relative_to(Path(cache).resolve()):
        return "uv"
    if any(UV_CACHE.fullmatch(part) for part in path.parts):
        return "uv"
    is_pipx = PIPX_CACHE.fullmatch(path.name) and (path / PIPX).exists()
    return "pipx" if is_pipx else None


def find_uvx(variables: Mapping[str, str]) -> str | None:
    """The absolute path of uvx, on the PATH or beside the uv that started this process."""
    beside = str(Path(variables.get("UV", "")).parent)
    return find("uvx", variables) or find("uvx", {**variables, "PATH": beside})


def shared_start(machine: Machine, library: str | None = None) -> Start:
    """How all who share a project start flex-mcp: by name, since their paths differ.

    Args:
        machine: where it is looked for, on the PATH.
        library: what `shared_library` says.

    Raises:
        ClientError: it has no name here.
    """
    own = find(NAME, machine.variables)
    if own is not None and cache_of(str(Path(own).parents[1]), machine.variables) is None:
        return Start(NAME, (), library)
    if find("uvx", machine.variables) is not None:
        return Start("uvx", (NAME,), library)
    raise ClientError(
        "neither flex-mcp nor uvx is on the PATH, and a file that others share is given no path of "
        "yours: run `uv tool install flex-mcp` or `pipx install flex-mcp` and then this again, or "
        "leave out --scope project"
    )


def shared_library(library: Path, client: Client, machine: Machine) -> str:
    """A library as all who share a project may name it.

    Raises:
        ClientError: it lies in the project, and the client has no word for that.
    """
    if not library.is_relative_to(machine.folder):
        in_home = library.is_relative_to(machine.home)
        return f"~/{library.relative_to(machine.home).as_posix()}" if in_home else str(library)
    if client.folder:
        return f"{client.folder}/{library.relative_to(machine.folder).as_posix()}"
    raise ClientError(
        f"{client.title} cannot be told of {library} without a path of yours, which others who "
        "share the project do not have: name a library outside of it, or leave out --scope project"
    )


def _check_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ClientError(
            f"the path {path!r} is not valid Unicode, so no configuration can hold it: rename it"
        ) from error


def entry(client: ClientName, started: Start, before: object = None) -> Entry:
    """The entry of a client; what a user added to the one before (a timeout, a variable) stays."""
    about, old = CLIENTS[client], mapping(before)
    if REMOTE & old.keys():
        old = {}
    env = "environment" if about.one_list else "env"
    form: Entry = {**about.form, "command": started.command, "args": list(started.args)}
    if about.one_list:
        form["command"] = [started.command, *form.pop("args")]
    variables = mapping(old.pop(env, None))
    if started.library is not None:
        variables |= {LIBRARY: started.library}
    if variables:
        form[env] = variables
    return {**old, **form, **{key: about.defaults[key] for key in about.defaults.keys() - old}}


def started(found: object) -> Start | None:
    """What an entry in a file starts; None where it starts nothing."""
    old = mapping(found)
    command, args = old.get("command"), old.get("args")
    words = list(cast("list[object]", command)) if isinstance(command, list) else [command]
    words += cast("list[object]", args) if isinstance(args, list) else [args] if args else []
    texts = [word for word in words if isinstance(word, str)]
    if not texts or len(texts) < len(words) or isinstance(args, str):  # no list
        return None
    library = environment_of(old).get(LIBRARY)
    return Start(texts[0], tuple(texts[1:]), library if isinstance(library, str) else None)


def environment_of(found: object) -> Entry:
    """The environment that an entry sets."""
    old = mapping(found)
    return mapping(old.get("env")) | mapping(old.get("environment"))


def is_off(found: object) -> bool:
    """Whether its user switched an entry off."""
    old = mapping(found)
    return old.get("disabled") is True or old.get("enabled") is False


def masked(shown: Entry) -> Entry:
    """An entry without the values of variables that are not ours: they may be keys."""
    return shown | {
        name: {key: value if key == LIBRARY else "…" for key, value in mapping(shown[name]).items()}
        for name in ("env", "environment")
        if name in shown
    }


def mapping(value: object) -> Entry:
    """What a file holds, where it is an object; a copy."""
    return dict(cast("Entry", value)) if isinstance(value, dict) else {}
