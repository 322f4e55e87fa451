"""The terminal's door. Each command checks, calls, presents; the server is reached by transports.

Exit codes: 0 done, also when nothing is relevant or a list is empty; 2 the input, the library or a
setting was refused; 1 the work ran and failed.
"""

import contextlib
import functools
import io
import json
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click

from flex_mcp import __version__, tools
from flex_mcp.answers import Answer, reports
from flex_mcp.app import App
from flex_mcp.arguments import (
    CurateArguments,
    GetArguments,
    RecordArguments,
    SearchArguments,
    checked,
)
from flex_mcp.errors import FlexError, InputError
from flex_mcp.models import TRAJECTORIES, Curation, Level, Status, Zone

if TYPE_CHECKING:
    from flex_mcp.library import Progress

CALLER = tools.Caller("command line")
ZONES, LEVELS = [*map(str, Zone)], [*map(str, Level)]
F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """Shows our errors as one sentence on stderr, with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's signature
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except FlexError as error:
            _fail(str(error), 2)
        except BrokenPipeError:
            raise  # click ends it in silence
        except OSError as error:
            _fail(f"the answer cannot be written: {error.strerror}", 1)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "flex-mcp"
            _fail(f"{error.format_message().rstrip('.')}: see {command} --help", 2)


def _fail(sentence: str, code: int) -> NoReturn:
    click.echo(f"flex-mcp: {sentence}", err=True)
    sys.exit(code)


def library_option(function: F) -> F:
    return click.option(
        "--library",
        metavar="PATH",
        help="The library's file. Default: FLEX_MCP_LIBRARY, or library.db in your data folder.",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(function)


class WorkFailedError(Exception):
    """The work ran and did not go well; its answer is printed all the same."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


def with_library(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command on a library: it gets `app`, which opens it, and its answer is printed."""

    @library_option
    @json_option
    @functools.wraps(function)
    def command(*args: Any, library: str | None, as_json: bool, **kwargs: Any) -> None:  # noqa: ANN401
        app = App(library=library or _before_the_command())
        try:
            answer: Answer | None = function(*args, app=app, **kwargs)
            if answer is not None:
                _print(answer, as_json)
        except WorkFailedError as failed:
            _print(failed.answer, as_json)
            _fail(str(failed), 1)
        finally:
            app.close()  # may wait for the file: a search has answered by then

    return command


def _before_the_command() -> str | None:
    """--library may also stand before the command."""
    return click.get_current_context().find_root().params.get("library")


def _print(answer: Answer, as_json: bool) -> None:  # noqa: FBT001  what the option says
    if as_json:
        click.echo(json.dumps(answer.content, ensure_ascii=False, indent=2))
    else:
        click.echo(answer.text)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, prog_name="flex-mcp")
@library_option
@click.pass_context
def main(ctx: click.Context, library: str | None) -> None:
    """An experience library for any assistant: lessons from earlier work, found when needed.

    Without a command it serves MCP over stdio, which is what a client starts. Try `flex-mcp demo`
    first; then `flex-mcp COMMAND --help`.

    \b
    FLEX_MCP_LIBRARY        the library's file
    FLEX_MCP_EMBEDDER       static (the default, offline) or fastembed:MODEL
    FLEX_MCP_EMBEDDER_PATH  a folder with that model's files
    FLEX_MCP_DISTILLER      who writes lessons: auto, anthropic, sampling, assistant
    FLEX_MCP_MODEL          the model asked with ANTHROPIC_API_KEY, at ANTHROPIC_BASE_URL
    FLEX_MCP_PROMPTS        a folder with prompts of your own
    """  # noqa: D301  click's mark for lines to keep
    if ctx.invoked_subcommand is None:
        _serve(library)


@main.command()
@library_option
def serve(library: str | None) -> None:
    """Serve MCP over stdio (what a client's configuration runs)."""
    _serve(library or _before_the_command())


def _serve(library: str | None) -> None:
    from flex_mcp.transports import serve_stdio

    serve_stdio(App(library=library))


@main.command()
@click.option(
    "--library", metavar="PATH", help="Keep the demonstration's library in this new file."
)
@json_option
def demo(*, library: str | None, as_json: bool) -> None:
    """Watch the main job on real input: record, distil, and find the lessons in a new session."""
    from flex_mcp.demo import run_demo

    if failure := run_demo(library or _before_the_command(), as_json=as_json):
        _fail(failure, 1)


@main.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--domain", help="Only this path and what lies below it, such as python/packaging.")
@click.option("--zone", "zones", multiple=True, type=click.Choice(ZONES))
@click.option("--level", "levels", multiple=True, type=click.Choice(LEVELS))
@click.option("--limit", type=int, default=3, show_default=True, help="Hits a level, at most 10.")
@click.option("--detailed", is_flag=True, help="Whole lessons.")
@with_library
def search(  # noqa: PLR0913  its options
    query: Sequence[str],
    *,
    domain: str | None,
    zones: Sequence[str],
    levels: Sequence[str],
    limit: int,
    detailed: bool,
    app: App,
) -> Answer:
    """Find lessons for a task, in your own words."""
    raw = {"query": " ".join(query), "domain": domain, "limit": limit}
    raw |= {"zones": zones or None, "levels": levels or None}
    raw |= {"detail": "detailed" if detailed else "concise"}
    return tools.search_experience(app, checked(SearchArguments, raw), CALLER)


@main.command()
@click.argument("ids", nargs=-1, required=True)
@with_library
def show(ids: Sequence[str], *, app: App) -> Answer:
    """Show experiences whole: examples, evidence, counters, history."""
    return tools.get_experience(app, checked(GetArguments, {"ids": ids}), CALLER)


@main.command("list")
@click.option("--domain", help="Only this path and what lies below it.")
@click.option("--zone", "zones", multiple=True, type=click.Choice(ZONES))
@click.option("--level", "levels", multiple=True, type=click.Choice(LEVELS))
@click.option("--status", "statuses", multiple=True, type=click.Choice([*map(str, Status)]))
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@with_library
def list_(
    *,
    domain: str | None,
    zones: Sequence[str],
    levels: Sequence[str],
    statuses: Sequence[str],
    limit: int,
    app: App,
) -> Answer:
    """List experiences, newest first."""
    found = app.library.experiences(
        levels=[Level(level) for level in levels] or None,
        zones=[Zone(zone) for zone in zones] or None,
        domain=domain,
        statuses=[Status(status) for status in statuses],
        limit=limit,
    )
    return reports.list_answer(found)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@with_library
def record(file: Path, *, app: App) -> Answer:
    """Record trajectories from a JSON FILE, or stdin.

    FILE holds one object, an array of them, or one a line. An object has task and outcome (success,
    failure, partial, unknown), and may have steps [{kind, content, name}] or transcript, answer,
    feedback, score, verified_by, domain, agent, retrieval_ids, lessons, key.
    """
    items, listed = _objects(_read(file))
    given = [_named(number, items, item) for number, item in enumerate(items, start=1)]
    made: list[Answer] = []
    for one in given:
        try:
            made.append(tools.record_trajectory(app, one, CALLER))
        except InputError as error:
            if len(given) == 1:
                raise
            raise InputError(
                f"object {len(made) + 1}: {error}; those before it were recorded, the rest not"
            ) from error
    return reports.many(made) if listed else made[0]


def _named(number: int, items: Sequence[object], item: object) -> RecordArguments:
    """One of the objects, checked before any is recorded."""
    try:
        return checked(RecordArguments, item)
    except InputError as error:
        which = f"object {number}: " if len(items) > 1 else ""
        raise InputError(f"{which}{error}; nothing was recorded") from error


def _read(file: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text: nothing was recorded") from error
    if not text.strip():
        raise InputError("there is nothing to record: give an object with task and outcome")
    return text


def _objects(text: str) -> tuple[list[object], bool]:
    """The objects of a JSON object, an array, or JSON lines; and whether they came as a list."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        lines = [line for line in text.split("\n") if line.strip()]
        return [_json_line(number, line) for number, line in enumerate(lines, start=1)], True
    return (
        (cast("list[object]", content), True) if isinstance(content, list) else ([content], False)
    )


def _json_line(number: int, line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"line {number} is no JSON: give one object, an array of them, or one a line"
        ) from error


@main.command()
@click.argument("trajectory_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that is pending.")
@click.option("--limit", type=click.IntRange(min=1), help="So many trajectories. Default: 5.")
@click.option("--dry-run", is_flag=True, help="Ask, show the decisions, change nothing.")
@click.option("--batch", is_flag=True, help="Ask by message batches: within a day, at half price.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=32),
    default=4,
    show_default=True,
    help="Groups at a time.",
)
@with_library
def distill(  # noqa: PLR0913  its options
    trajectory_ids: Sequence[str],
    *,
    everything: bool,
    limit: int | None,
    dry_run: bool,
    batch: bool,
    jobs: int,
    app: App,
) -> Answer:
    """Turn pending trajectories into lessons with the model of ANTHROPIC_API_KEY.

    Trajectories of one task are distilled side by side. It can be stopped and run again at any
    moment.
    """
    from flex_mcp.backlog import Job, work_in_batches, work_through

    if sum([bool(trajectory_ids), everything, limit is not None]) > 1:
        raise InputError("give ids, --all or --limit, only one of them")
    job = Job(
        ids=trajectory_ids or None,
        limit=None if everything or trajectory_ids else limit or TRAJECTORIES,
        dry_run=dry_run,
        at_once=jobs,
        client=CALLER.name,
    )
    llm, work = app.llm, work_in_batches if batch else work_through
    try:
        with _progress("Distilling") as progress:
            report = work(app.library, app.distiller, llm, job, progress)
    except KeyboardInterrupt:
        click.echo("flex-mcp: stopped; run it again to go on, a batch goes on by itself", err=True)
        raise
    answer = reports.backlog_answer(report, dry_run=dry_run)
    if report.failures or report.stopped:
        raise WorkFailedError(answer, report.stopped or report.failures[0].reason)
    return answer


@main.group(invoke_without_command=True)
@click.pass_context
def prompts(ctx: click.Context) -> None:
    """See what the models are asked. NAME.md in the folder FLEX_MCP_PROMPTS takes its place."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@prompts.command("list")
@json_option
def list_prompts(*, as_json: bool) -> None:
    """List the prompts with their versions."""
    found = App().prompts
    _print(reports.prompts_answer({name: found.version(name) for name in found.names()}), as_json)


@prompts.command("show")
@click.argument("name")
@click.option("--raw", is_flag=True, help="Its file, with the $placeholders: begin yours with it.")
@json_option
def show_prompt(name: str, *, raw: bool, as_json: bool) -> None:
    """Print one prompt as a model gets it, about the demonstration's trajectories."""
    from flex_mcp.examples import prompt

    found = App().prompts
    text = found.raw(name) if raw else prompt(found, name)
    _print(reports.prompt_answer(name, text, found.version(name)), as_json)


@main.command()
@click.argument("experience_id", metavar="ID")
@click.argument("action", type=click.Choice([*map(str, Curation)]))
@click.option("--reason", default="by hand", show_default=True, help="Kept in the history.")
@click.option("--title", help="For edit, as the next ones.")
@click.option("--when")
@click.option("--lesson")
@click.option("--example", "examples", multiple=True, help="All that should stay.")
@click.option("--domain")
@click.option("--tag", "tags", multiple=True, help="All that should stay.")
@click.option("--priority", type=int)
@click.option("--zone", type=click.Choice(ZONES))
@click.option("--level", type=click.Choice(LEVELS))
@click.option(
    "--revision", type=int, help="For revert: back to before this one (default the last)."
)
@with_library
def curate(
    experience_id: str,
    action: str,
    *,
    reason: str,
    app: App,
    **fields: Any,  # noqa: ANN401
) -> Answer:
    """Approve, quarantine, retire, restore, edit or revert one experience."""
    given = {name: value for name, value in fields.items() if value not in {None, ()}}
    raw = {"id": experience_id, "action": action, "reason": reason, "fields": given or None}
    return tools.curate_experience(app, checked(CurateArguments, raw), CALLER)


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@with_library
def import_(file: Path, *, app: App) -> Answer:
    """Take in a library: FLEX's JSON, or a bundle of `flex-mcp export`. Twice adds nothing."""
    from flex_mcp.exchange import import_file

    with _progress("Importing") as progress:
        imported = import_file(app.library, file, client=CALLER.name, progress=progress)
        app.library.calibrate()
    return reports.import_answer(imported)


@main.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "flex", "markdown"]),
    default="jsonl",
    show_default=True,
    help="jsonl: everything. flex: FLEX's file, texts of what is active. markdown: for reading.",
)
@with_library
def export(file: Path, *, form: str, app: App) -> Answer | None:
    """Write the library to FILE, or to stdout."""
    from flex_mcp.exchange import Format, export_file, export_library

    if str(file) == "-":
        for piece in export_library(app.library, Format(form)):
            click.echo(piece, nl=False)
        return None
    export_file(app.library, file, Format(form))
    return reports.export_answer(str(file), form)


@main.command()
@with_library
def stats(*, app: App) -> Answer:
    """Count what the library holds."""
    library = app.library
    return reports.statistics_answer(library.name, library.statistics(), library.last_revisions(5))


@main.command()
@click.option(
    "--embedder", metavar="NAME", help="static or fastembed:MODEL. Default: as set, or its own."
)
@with_library
def reindex(*, embedder: str | None, app: App) -> Answer:
    """Make all vectors anew, for another embedder or a new version; resumes where it was stopped.

    Searches go on with the old ones until it is done. A model that is not on this machine is
    fetched, unless FLEX_MCP_EMBEDDER_PATH names a folder with its files.
    """
    with _progress("Embedding") as progress:
        vectors = app.library.reindex(embedder, progress=progress)
    return reports.reindex_answer(vectors, app.library.statistics().experiences)


@contextlib.contextmanager
def _progress(what: str) -> "Generator[Progress]":
    """A bar on stderr, where a person watches."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
