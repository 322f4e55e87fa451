"""What `conformance` and `clients` share: packages in a folder of their own, a server in a process.

Standard library only; nothing outlives the script but what `--cache` keeps.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = "installed.json"
NODE = "node@22.23.3"  # these packages need 22; a machine's own is often older
PATIENCE = 600  # seconds for one command
OUT_OF_REACH = {
    "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ENOTCACHED",
    "ENOTFOUND", "ERR_SOCKET_TIMEOUT", "ETIMEDOUT",
}  # fmt: skip


class SkippedError(Exception):
    """This machine lacks something; the message says what."""


class FailedError(Exception):
    """A command did not do what it should; the message ends with what it said."""


@contextlib.contextmanager
def workplace(description: str) -> Generator[Path]:
    """A folder for this run, or the one that `--cache` names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cache", metavar="DIR", type=Path, help="keep the packages in DIR")
    cache: Path | None = parser.parse_args().cache
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        yield cache.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="flex-mcp-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """What a command prints.

    Raises:
        FailedError: it ends with another exit code than 0.
    """
    done = finished(*command, env=env, cwd=cwd)
    if done.returncode:
        raise FailedError(f"{Path(command[0]).name} ended with {done.returncode}: {tail(done)}")
    return done.stdout


def finished(
    *command: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


def tail(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return "\n".join(["", *lines[-12:]])


def npm(folder: Path, packages: Sequence[str]) -> Path:
    """The folder of the commands that these npm packages bring, and Node 22.

    Raises:
        FailedError: they cannot be installed.
        SkippedError: npm or its registry is not to be had.
    """
    found = shutil.which("npm")
    if found is None:
        raise SkippedError("npm is not installed")
    wanted = [NODE, *packages]
    if not installed(folder, wanted):
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text("{}", "utf-8")
        options = ("--no-fund", "--no-audit", "--no-package-lock", "--loglevel=error", "--json")
        retries = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
        done = finished(found, "install", *options, *retries, *wanted, cwd=folder)
        if done.returncode:
            if any(code in done.stdout + done.stderr for code in OUT_OF_REACH):
                raise SkippedError("npm cannot reach its registry")
            raise FailedError(f"npm install ended with {done.returncode}: {tail(done)}")
        keep_in_mind(folder, wanted)
    return folder / "node_modules" / ".bin"


def pip(folder: Path, packages: Sequence[str]) -> Path:
    """The folder of the programs of an environment with these packages.

    Raises:
        FailedError: they cannot be installed.
        SkippedError: its registry is not to be had.
    """
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    wanted = [*packages]
    if installed(folder, wanted):
        return programs
    run(sys.executable, "-m", "venv", "--clear", folder)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--retries=2")
    done = finished(programs / "python", "-m", "pip", "install", *quiet, *wanted)
    if done.returncode:
        if "(from versions: none)" in done.stderr:
            raise SkippedError("pip cannot reach its registry")
        raise FailedError(f"pip install ended with {done.returncode}: {tail(done)}")
    keep_in_mind(folder, wanted)
    return programs


def installed(folder: Path, packages: Sequence[str]) -> bool:
    """Whether an earlier run left just these in a folder that is kept."""
    mark = folder / MARK
    return mark.is_file() and json.loads(mark.read_text("utf-8")) == packages


def keep_in_mind(folder: Path, packages: Sequence[str]) -> None:
    (folder / MARK).write_text(json.dumps(packages), "utf-8")


def environment(home: Path, *first: Path, **more: str) -> dict[str, str]:
    """The environment of a program that must not see or touch the user's own things."""
    ours = os.environ  # noqa: TID251  of the script, not of the package
    kept = {
        name: value
        for name, value in ours.items()
        if not name.startswith(("ANTHROPIC_", "CLAUDE", "FLEX_MCP_", "MCP_", "XDG_"))
    }
    path = os.pathsep.join([*map(str, first), kept.get("PATH", "")])
    home.mkdir(parents=True, exist_ok=True)
    mine = {"HOME": str(home), "USERPROFILE": str(home), "PATH": path}
    return kept | mine | {"FLEX_MCP_DISTILLER": "assistant"} | more


@contextlib.contextmanager
def served(*command: str | Path, env: Mapping[str, str]) -> Generator[str]:
    """The address of a server process.

    Raises:
        FailedError: it does not say where it listens.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            if not line.startswith("listening on "):
                raise FailedError(f"the server did not start: {line or 'it says nothing'}")
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            process.wait(30)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
