"""What all commands share: options, how an answer is printed, how an error ends."""

import contextlib
import functools
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from flex_mcp.app import App
from flex_mcp.errors import FlexError
from flex_mcp.models import Level, Zone
from flex_mcp.tools import tools
from flex_mcp.tools.answers import Answer

if TYPE_CHECKING:
    from flex_mcp.library.library import Progress

CALLER = tools.Caller("command line")
LINE_SECONDS = 60
ZONES, LEVELS = [*map(str, Zone)], [*map(str, Level)]
F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """Shows our errors as one sentence on stderr, with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
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


def library_option(
    text: str = "The library's file. Default: FLEX_MCP_LIBRARY, or library.db in your data folder.",
) -> Callable[[F], F]:
    """--library, which may also stand before the command."""

    def or_before(ctx: click.Context, _: click.Parameter, library: str | None) -> str | None:
        return library or ctx.find_root().params.get("library")

    return click.option("--library", metavar="PATH", help=text, callback=or_before)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(function)


class WorkFailedError(Exception):
    """The work ran and did not go well; its answer is printed all the same."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


def with_library(function: Callable[..., Any], *, new: bool = False) -> Callable[..., Any]:
    """A command on a library that is there: it gets `app`, which opens it; its answer is printed.

    A misspelt path shall not show an empty library, nor undo that a server waits for one that was
    deleted. `new` is for a command that puts something in, also in a library that it makes.
    """

    @library_option()
    @json_option
    @functools.wraps(function)
    def command(*args: Any, library: str | None, as_json: bool, **kwargs: Any) -> None:
        app = App(library=library, new=new)
        log = logging.getLogger("flex_mcp")
        log.setLevel(logging.INFO)
        log.handlers = [Said()]
        try:
            answer: Answer | None = function(*args, app=app, **kwargs)
            if answer is not None:
                show_answer(answer, as_json=as_json)
        except WorkFailedError as failed:
            show_answer(failed.answer, as_json=as_json)
            fail(str(failed), 1)
        finally:
            app.close()  # may wait for the file: a search has answered by then

    return command


with_library_or_new = functools.partial(with_library, new=True)


def show_answer(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer.content, ensure_ascii=False, indent=2, default=str))
    else:
        click.echo(answer.text)


class Said(logging.Handler):
    """What is logged, told like all else."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def say(sentence: str) -> None:
    """Tell a person on stderr how far the work is."""
    click.echo(f"flex-mcp: {sentence}", err=True)


@contextlib.contextmanager
def progress_lines(what: str) -> "Generator[Progress]":
    """A bar where a person watches; elsewhere a line at each tenth, and at least every minute."""
    with contextlib.ExitStack() as stack:
        bar = functools.cache(lambda: stack.enter_context(progress_bar(what)))

        def step(done: int, total: int) -> None:
            bar()(done, total)  # it begins only now: until then others may write

        yield step if sys.stderr.isatty() else _lines(what)


def _lines(what: str) -> "Progress":
    last, told = -1, time.monotonic()

    def step(done: int, total: int) -> None:
        nonlocal last, told
        tenth = 10 * done // max(total, 1)
        if total and (tenth != last or time.monotonic() - told > LINE_SECONDS):
            last, told = tenth, time.monotonic()
            click.echo(f"{what} {done:,} of {total:,}", err=True)

    return step


@contextlib.contextmanager
def progress_bar(what: str) -> "Generator[Progress]":
    """A bar on stderr, where a person watches."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
