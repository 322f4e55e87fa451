"""The project of a folder: the name of its git repository, read without running git.

The name comes from the remote (`origin`, else the first one), so that clones and worktrees under
other names are one project; without a remote it is that of the repository's folder.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

LONGEST = 1 << 20  # bytes of a config that is read; git's own are a few hundred
SECTION = re.compile(r'\[\s*remote\s+"((?:[^"\\]|\\.)*)"\s*\]|\[[^\]]*\]', re.IGNORECASE)
COMMENT = re.compile(r'("[^"]*")|\s[#;].*')
URL = re.compile(r"\s*url\s*=\s*(.*)", re.IGNORECASE)


def project_of(folder: Path) -> str | None:
    """The name of the repository that a folder is in; None where it is in none.

    A repository in the home folder itself holds settings (dotfiles), and is no project of what lies
    below it.
    """
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # what cannot be read names none
        if root := _root(folder.absolute()):
            git = _shared(root / ".git")
            own = git.parent if git.name == ".git" else git if git.suffix == ".git" else root
            return _name_of(_remote(git / "config")) or own.name.removesuffix(".git") or None
    return None


def project_of_uri(uri: str) -> str | None:
    """The same for a `file:` address, as clients give their roots; None for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        return None
    path = unquote(parts.path)
    return project_of(Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path))


def _root(folder: Path) -> Path | None:
    home = Path.home()
    for each in (folder, *folder.parents):
        if each == home:
            return None
        if (each / ".git").is_file() or (each / ".git" / "HEAD").is_file():
            return each
    return None


def _shared(git: Path) -> Path:
    """Where a repository's config is: worktrees and submodules name another folder."""
    if git.is_dir():
        return git
    named = _text(git).partition("gitdir:")[2].strip()
    own = (git.parent / named).resolve()
    common = own / "commondir"
    return (own / _text(common).strip()).resolve() if common.is_file() else own


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(LONGEST).decode(errors="replace")


def _remote(config: Path) -> str:
    """The address of the remote `origin`, else of the first one; empty where there is none."""
    found: dict[str, str] = {}
    for name, address in _remotes(_text(config)) if config.is_file() else ():
        found.setdefault(name, address)
    return found.get("origin") or next(iter(found.values()), "")


def _remotes(config: str) -> Iterator[tuple[str, str]]:
    remote: str | None = None
    for line in config.replace("\\\n", "").splitlines():
        text = COMMENT.sub(r"\1", line.strip())
        if section := SECTION.match(text):
            remote = section[1]
            text = text[section.end() :]
        if remote is not None and (found := URL.match(text)):
            yield remote, found[1].strip().strip('"')


def _name_of(address: str) -> str | None:
    """`shop` of `git@host:team/shop.git`, `https://host/team/shop` or `../shop.git/`."""
    path = address.replace("\\", "/").rstrip("/").removesuffix("/.git")
    return re.split(r"[/:]", path)[-1].removesuffix(".git").strip(" .") or None
