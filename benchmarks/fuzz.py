"""Coverage-guided fuzzing with atheris of what reads bytes from outside, on demand.

    pip install atheris            # wheels for some Pythons on Linux and macOS only
    python benchmarks/fuzz.py arguments -max_total_time=60

Targets: arguments (a tool's arguments), front (what a client opens with), limits (messages and
their values), bundle and flex (files to import). What follows is libFuzzer's own. The fuzz tests
need nothing but hypothesis: `FUZZ=20 python -m pytest -m "" tests/test_fuzz_*.py`.
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from flex_mcp.errors import FlexError
from flex_mcp.exchange.files import import_text
from flex_mcp.learning.briefing import SaveArguments
from flex_mcp.library.library import Library
from flex_mcp.server.description import description
from flex_mcp.storage.sqlite.store import SqliteStore
from flex_mcp.tools.arguments import (
    CurateArguments,
    DistillArguments,
    GetArguments,
    RecordArguments,
    ReportArguments,
    SearchArguments,
)
from flex_mcp.transports.fast_start import Opening
from flex_mcp.transports.message_limits import too_many_values
from flex_mcp.validation import checked

TAKES = (
    SearchArguments,
    GetArguments,
    RecordArguments,
    DistillArguments,
    SaveArguments,
    ReportArguments,
    CurateArguments,
)
SEEDS = (
    '0{"query": "a task", "domain": "x/y", "zones": ["golden"], "limit": 3}',
    '2{"task": "x", "outcome": "failure", "steps": [{"kind": "thought", "content": "y"}]}',
    '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\n',
    '{"library": {"golden": [{"method": "m", "rules": ["r"], "problem_category": "c"}]}}',
    '{"experience": {"id": "e_aaaaaaaaaaaa", "title": "t", "lesson": "l"}}\n',
)


def arguments(raw: bytes) -> None:
    kind: type[Any] = TAKES[raw[0] % len(TAKES)] if raw else TAKES[0]
    try:
        content: Any = json.loads(raw[1:])
    except (ValueError, RecursionError):
        return
    if not isinstance(content, dict):
        return
    try:
        checked(kind, cast("dict[str, Any]", content))
    except FlexError as error:
        check_sentence(error)


def check_sentence(error: FlexError) -> None:
    said = str(error)
    assert said.strip()
    assert "\n" not in said
    assert len(said) < 2_000


def front(raw: bytes) -> None:
    opening = Opening(description())
    for line in raw.split(b"\n"):
        answer = opening.answer(line)
        assert not answer or json.loads(answer)["jsonrpc"] == "2.0"
        if answer is None:
            return


def limits(raw: bytes) -> None:
    long = raw * (600_000 // (len(raw) or 1) + 1)
    assert too_many_values(long) == too_many_values(long.decode("latin-1"))


def importing(name: str) -> Callable[[bytes], None]:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    library = Library(SqliteStore(folder / "library.db"), no_model, wanted=None)
    first = '{"flex-mcp": {"format": 1}}\n' if name == "bundle" else ""

    def taken(raw: bytes) -> None:
        try:
            import_text(library, first + raw.decode(errors="replace"), source="a.json")
        except FlexError as error:
            check_sentence(error)

    return taken


def no_model(name: str, fetch: bool) -> Any:  # noqa: ARG001, FBT001  the seam's own
    from flex_mcp.search.embedder import StaticEmbedder  # noqa: PLC0415  only where files are imported

    return StaticEmbedder()


def target(name: str) -> Callable[[bytes], None]:
    plain = {"arguments": arguments, "front": front, "limits": limits}
    if name in plain:
        return plain[name]
    if name in {"bundle", "flex"}:
        return importing(name)
    sys.exit(f"there is no target {name!r}: arguments, front, limits, bundle or flex")


def main() -> None:
    if importlib.util.find_spec("atheris") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        print(f"skipped: atheris is not installed; it has no wheel for every Python ({version})")
        return
    import atheris  # pyright: ignore[reportMissingImports, reportMissingModuleSource]  # noqa: PLC0415  optional

    run: Any = atheris
    tested = target(sys.argv[1] if len(sys.argv) > 1 else "arguments")
    for function in (checked, import_text, too_many_values, Opening.answer):
        run.instrument_func(function)
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, seed in enumerate(SEEDS):
        (corpus / str(number)).write_text(seed, encoding="utf-8")
    run.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], tested)
    run.Fuzz()


if __name__ == "__main__":
    main()
