"""What all commands share: their group, options, how an answer is printed, how an error ends."""

import contextlib
import functools
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from flex_mcp.app import App
from flex_mcp.cli.identifiers import PROJECT, whole_ids
from flex_mcp.cli.output import Page, legible, print_page
from flex_mcp.errors import FlexError, InputError
from flex_mcp.models import Projects, clean_project
from flex_mcp.tolerance import date_of
from flex_mcp.tools import tools
from flex_mcp.tools.answers import Answer
from flex_mcp.transports import fast_start
from flex_mcp.transports.process import Process
from flex_mcp.version import __version__

if TYPE_CHECKING:
    from flex_mcp.library.library import Progress

CALLER = tools.Caller("command line")
WHOLE = 1_000  # characters: no help is cut
LINE_SECONDS, QUIET_SECONDS = 60, 60.0  # between lines of progress, and before the first
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
WELCOME = """\
flex-mcp keeps lessons from earlier work, and finds them before the next task.

Your assistant starts it by itself, once you have added it there: nothing waits here.

  flex-mcp demo               watch it learn from two real pieces of work
  flex-mcp install            see which assistants are here, and add it to one
  flex-mcp search "the task"  find lessons yourself
  flex-mcp list               see what your library holds
  flex-mcp review             decide about what needs a look
  flex-mcp --help             all commands"""
F = TypeVar("F", bound=Callable[..., Any])


GROUPS = {  # of commands, in the order in which a person needs them
    "To begin": ("demo", "install"),
    "Look": (
        "web",
        "search",
        "list",
        "show",
        "trajectories",
        "domains",
        "projects",
        "stats",
        "log",
    ),
    "Learn": ("record", "distill", "add"),
    "Curate": ("review", "curate", "edit", "merge", "forget"),
    "In and out": ("import", "export", "backup", "restore"),
    "Care": ("doctor", "embedder", "reindex", "prompts"),
    "Clients": ("serve", "uninstall", "completion"),
}


class Commands(click.Group):
    """Shows our errors as one sentence on stderr, with exit code 2, and commands in groups."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = self.list_commands(ctx)
        known = {name for group in GROUPS.values() for name in group}
        left = tuple(name for name in names if name not in known)
        width = max(map(len, names))
        for heading, group in {**GROUPS, "More": left}.items():
            if here := [name for name in group if name in names]:
                helps = {name: self.commands[name].get_short_help_str(WHOLE) for name in here}
                with formatter.section(heading):
                    formatter.write_dl([(name.ljust(width), says) for name, says in helps.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            legible(stream)
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FlexError as error:
            fail(str(error), 2)
        except BrokenPipeError:
            raise  # click ends it in silence
        except OSError as error:
            _fail_on(error)
        except (KeyboardInterrupt, click.Abort):
            fail("stopped: what was finished until then stays", 1)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "flex-mcp"
            said = " ".join(error.format_message().split())  # it lists choices in lines
            fail(f"{said.rstrip('.')}: see {command} --help", 2)


def _fail_on(error: OSError) -> NoReturn:
    if error.filename is None:
        fail(f"the answer cannot be written: {error.strerror}", 1)
    why = f"{error.filename} cannot be reached ({error.strerror})"
    fail(f"{why}: check that it and its folder can be read", 2)


def fail(sentence: str, code: int) -> NoReturn:
    say(sentence)
    sys.exit(code)


def _or_before(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    """What an option says, or what it said before the command."""
    above = ctx.parent
    while not value and above is not None:
        value, above = above.params.get(option.name or "", value), above.parent
    return value


def library_option(
    text: str = "The library's file. Default: FLEX_MCP_LIBRARY, or library.db in your data folder.",
) -> Callable[[F], F]:
    """--library, which may also stand before the command."""
    return click.option("--library", metavar="PATH", help=text, callback=_or_before)


def options_of_projects(named: str) -> Callable[[F], F]:
    """--project, --general and --all-projects: whose lessons; `named` says what the first means."""

    def decorated(function: F) -> F:
        for option in (
            click.option("--all-projects", is_flag=True, help="Those of every project."),
            click.option("--general", is_flag=True, help="Only those of no project."),
            click.option("--project", metavar="NAME", type=PROJECT, help=named),
        ):
            function = option(function)
        return function

    return decorated


project_options = options_of_projects("Only those of this project.")


def is_project_chosen(chosen: Mapping[str, Any]) -> bool:
    """Whether one of `project_options` is given.

    Raises:
        InputError: two of them are.
    """
    given = sum(map(bool, map(chosen.get, ("project", "general", "all_projects"))))
    if given > 1:
        raise InputError("give --project, --general or --all-projects, only one of them")
    return given == 1


def projects_of(chosen: Mapping[str, Any], usual: Projects) -> Projects:
    """The projects that `project_options` name; without any, the usual ones.

    Raises:
        InputError: two of them are given.
    """
    if not is_project_chosen(chosen):
        return usual
    if chosen["all_projects"]:
        return None
    if chosen["general"]:
        return frozenset({None})
    named = clean_project(chosen["project"])
    return frozenset({named}) if named else usual


def caller(app: App) -> tools.Caller:
    """A person at the terminal, in the project of the folder that they are in."""
    return CALLER._replace(project=app.project)


def ago(text: str) -> datetime | None:
    """The moment that is so long ago, such as 90d, 12w or 36h; None for anything else."""
    found = re.fullmatch(r"(\d{1,5})([hdw])", text.strip())
    return datetime.now(UTC) - int(found[1]) * UNITS[found[2]] if found else None


def since_of(text: str | None) -> datetime | None:
    """The time that --since names.

    Raises:
        InputError: it names none.
    """
    if text is None:
        return None
    if (time := ago(text) or date_of(text)) is None:
        raise InputError(f"--since cannot be {text!r}: say 2026-01-31, 36h, 7d or 2w")
    return time


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Answer as JSON.", callback=_or_before
)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, prog_name="flex-mcp")
@library_option()
@click.pass_context
def main(ctx: click.Context, library: str | None) -> None:
    """An experience library for any assistant: lessons from earlier work, found when needed.

    Without a command it serves MCP over stdio, which is what a client starts; at a terminal it says
    what to do next. Try `flex-mcp demo` first; then `flex-mcp COMMAND --help`.

    \b
    FLEX_MCP_LIBRARY        the library's file
    FLEX_MCP_EMBEDDER       ours (the default), static or fastembed:MODEL
    FLEX_MCP_EMBEDDER_PATH  a folder with that model's files
    FLEX_MCP_DISTILLER      who writes lessons: auto, anthropic, sampling, assistant
    FLEX_MCP_MODEL          the model asked with ANTHROPIC_API_KEY, at ANTHROPIC_BASE_URL
    FLEX_MCP_PROJECT        the project that you work on, instead of the git repository's name
    FLEX_MCP_PROMPTS        a folder with prompts of your own
    """  # noqa: D301  click's mark for lines to keep
    if ctx.invoked_subcommand is None:
        if is_typed():
            click.echo(WELCOME)
        else:
            fast_start.serve(Process(library))


def is_typed() -> bool:
    """Whether a person sits where a client's messages would come from."""
    return sys.stdin is not None and sys.stdin.isatty()  # pyright: ignore[reportUnnecessaryComparison]


class WorkFailedError(Exception):
    """The work ran and did not go well; its answer is printed all the same."""

    def __init__(self, answer: Page | Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


def answering(function: Callable[..., Page | Answer | None]) -> Callable[..., None]:
    """A command whose answer, if it gives one, is printed: a page as the reader likes it."""

    @json_option
    @functools.wraps(function)
    def command(*args: Any, as_json: bool, **kwargs: Any) -> None:
        failure = None
        try:
            answer = function(*args, **kwargs)
        except WorkFailedError as failed:
            answer, failure = failed.answer, str(failed)
        if answer is not None and as_json:
            click.echo(_json(answer.content))
        elif isinstance(answer, Page):
            print_page(answer)
        elif answer is not None:
            click.echo(answer.text)
        if failure is not None:
            fail(failure, 1)

    return command


def _json(content: object) -> str:
    """As JSON, with escapes of its own where the output's encoding lacks a letter."""
    text = json.dumps(content, ensure_ascii=False, indent=2, default=os.fspath)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(content, indent=2, default=os.fspath)
    return text


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@answering
def completion(shell: str) -> Answer:
    """Print what lets SHELL complete what you type.

    That is commands, options, ids, domains and projects.

    \b
    bash  eval "$(flex-mcp completion bash)"     in ~/.bashrc
    zsh   eval "$(flex-mcp completion zsh)"      in ~/.zshrc
    fish  flex-mcp completion fish | source      in ~/.config/fish/config.fish
    """  # noqa: D301  click's mark for lines to keep
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    script = made(main, {}, "flex-mcp", "_FLEX_MCP_COMPLETE").source() if made else ""
    return Answer({"shell": shell, "script": script}, script.rstrip())


def with_library(
    function: Callable[..., Page | Answer | None], *, new: bool = False
) -> Callable[..., None]:
    """A command on a library that is there: it gets `app`, which opens it; its answer is printed.

    Of its ids a person may have typed the beginning alone: it gets them whole.
    A misspelt path shall not show an empty library, nor undo that a server waits for one that was
    deleted. `new` is for a command that puts something in, also in a library that it makes.
    """

    @functools.wraps(function)
    def with_whole_ids(*args: Any, app: App, **kwargs: Any) -> Page | Answer | None:
        return function(*args, app=app, **whole_ids(lambda: app.library, kwargs))

    answered = answering(with_whole_ids)

    @library_option()
    @functools.wraps(answered)
    def command(*args: Any, library: str | None, **kwargs: Any) -> None:
        app = App(library=library, new=new)
        log = logging.getLogger("flex_mcp")
        log.setLevel(logging.INFO)
        log.handlers = [Said()]
        try:
            answered(*args, app=app, **kwargs)
        finally:
            app.close()  # may wait for the file: a search has answered by then

    return command


with_library_or_new = functools.partial(with_library, new=True)


def asking_options(function: F) -> F:
    """--yes and --dry-run, for what is asked first."""
    dry = click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
    return click.option("--yes", is_flag=True, help="Do not ask.")(dry(function))


def confirm(shown: str, question: str, *, because: str, undone: str) -> None:
    """Show what would be done, and ask whether it shall be.

    Raises:
        InputError: the answer is no, or there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise InputError(f"{because}: look with --dry-run, and say --yes; {undone}")
    click.echo(shown, err=True)
    if not click.confirm(question, err=True):
        raise InputError(f"{undone}: you did not want it")


class Said(logging.Handler):
    """What is logged, told like all else."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def say(sentence: str) -> None:
    """Tell a person on stderr how far the work is."""
    click.echo(f"flex-mcp: {sentence}", err=True)


@contextlib.contextmanager
def progress_bar(what: str) -> "Generator[Progress]":
    """A bar on stderr where a person watches; elsewhere lines, where the work takes long."""
    with contextlib.ExitStack() as stack:
        bar = functools.cache(lambda: _bar(what, stack))

        def step(done: int, total: int) -> None:
            bar()(done, total)  # it begins only now: until then others may write

        yield step if sys.stderr.isatty() else _lines(what)


def _bar(what: str, stack: contextlib.ExitStack) -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    bar = stack.enter_context(Progress(console=Console(stderr=True)))
    task = bar.add_task(what, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str) -> "Progress":
    """A line at each tenth, and at least every minute; none in the first seconds."""
    last, told = -1, time.monotonic()
    began = told

    def step(done: int, total: int) -> None:
        nonlocal last, told
        tenth, now = 10 * done // max(total, 1), time.monotonic()
        is_due = tenth != last or now - told > LINE_SECONDS
        if total and is_due and now - began >= QUIET_SECONDS:
            last, told = tenth, now
            click.echo(f"{what} {done:,} of {total:,}", err=True)

    return step
