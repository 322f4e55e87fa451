"""The library as Python code uses it: the core's verbs, and those that need more than the core."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from flex_mcp.app import own_llm, parts
from flex_mcp.errors import SettingError
from flex_mcp.exchange import files
from flex_mcp.exchange.files import Format
from flex_mcp.library import library as core
from flex_mcp.library.asking import asked
from flex_mcp.library.library import Progress, silent
from flex_mcp.library.lists import clean_projects
from flex_mcp.models import (
    Experience,
    ExperienceFilter,
    Found,
    HereOrNamed,
    Projects,
    Status,
    values_of,
)
from flex_mcp.settings import Settings, path_of
from flex_mcp.tools.answers import search_answer
from flex_mcp.tools.arguments import Detail

if TYPE_CHECKING:
    from flex_mcp.learning.backlog import Report
    from flex_mcp.learning.own_model import OwnModel
    from flex_mcp.library.importing import Imported
    from flex_mcp.search.own_embedder import OwnEmbedder

P = ParamSpec("P")
T = TypeVar("T")
PAGE = 100  # experiences that are read at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(Found):
    """What one search served, and how an assistant reads it."""

    def text(self, detail: Detail = "concise") -> str:
        """What `search_experience` would answer: Markdown, ready to stand in a prompt.

        At most 6,000 characters; `detailed` has whole lessons, at most 40,000.
        """
        return search_answer(self, detail).text


def _as(
    verb: Callable[Concatenate[core.Library, P], object],
) -> Callable[[Callable[..., T]], Callable[Concatenate[Any, P], T]]:
    """A method with the arguments and the documentation of a verb of the core."""

    def dressed(method: Callable[..., T]) -> Callable[Concatenate[Any, P], T]:
        return functools.wraps(verb)(method)

    return dressed


class Library(core.Library):
    """A library that is open; `open_library` makes it. It blocks, and threads may share it.

    As a collection it is all that is active, of every project: `len(library)` counts that, `for
    experience in library` gives it, newest first, as it was when the loop began, but for what was
    retired or forgotten since. `experiences(projects=…)` gives less, and `search` without a project
    serves general lessons alone.
    """

    def __init__(self, settings: Settings, *, embedder: "OwnEmbedder | None" = None) -> None:
        super().__init__(**parts(settings, own=embedder))
        self._settings = settings

    @_as(core.Library.search)
    def search(self, *args: Any, **kwargs: Any) -> Served:
        return Served(**values_of(super().search(*args, **kwargs), Found))

    def __len__(self) -> int:
        return self.statistics().by_status.get(Status.ACTIVE, 0)

    def __bool__(self) -> bool:
        return True  # a library that is empty is one

    def __iter__(self) -> Iterator[Experience]:
        with self.reading() as reading:
            ids = reading.experiences.ids(ExperienceFilter(statuses=frozenset({Status.ACTIVE})))
        for start in range(0, len(ids), PAGE):
            page = self.get(ids[start : start + PAGE])
            yield from (one for one in page if one.status is Status.ACTIVE)

    def __contains__(self, experience_id: object) -> bool:
        found = self.get([experience_id]) if isinstance(experience_id, str) else []
        return any(one.status is Status.ACTIVE for one in found)

    def distill(
        self,
        trajectory_ids: Sequence[str] | None = None,
        *,
        model: "OwnModel | None" = None,
        limit: int | None = None,
        dry_run: bool = False,
        jobs: int = 1,
        progress: Progress = silent,
    ) -> "Report":
        """Turn trajectories into lessons, group after group; those of one task side by side.

        Args:
            trajectory_ids: which; default: all that is pending.
            model: your own; None asks that of ANTHROPIC_API_KEY.
            limit: so many trajectories at most.
            dry_run: the lessons are decided on, and nothing changes.
            jobs: how many groups at a time, each in a thread that asks the model.
            progress: hears of every group.

        The report has what was `made` of each group (its `lessons` and `decisions`), the `failures`
        with their reasons, and how much is `remaining`. It can be stopped at any moment: what was
        made stays, and the rest is pending.

        Raises:
            SettingError: there is no model to ask.
            NotFoundError: a trajectory that is named is not here.
            InputError: all those named are distilled, or claimed by another brief; or an argument
                is wrong.
            EmbedderError: lessons could not be placed now.
        """
        from flex_mcp.learning.backlog import Job, work_through
        from flex_mcp.learning.distiller import Distiller
        from flex_mcp.learning.own_model import NamedModel
        from flex_mcp.learning.prompts import Prompts

        asked(trajectory_ids=trajectory_ids, limit=limit, jobs=jobs)
        llm = own_llm(self._settings) if model is None else NamedModel(model)
        if llm is None:
            raise SettingError(
                "there is no model to ask: give distill a model of your own, or set "
                "ANTHROPIC_API_KEY"
            )
        distiller = Distiller(self, Prompts(self._settings.prompts_folder), llm=llm)
        job = Job(ids=trajectory_ids, limit=limit, dry_run=dry_run, at_once=jobs)
        return work_through(self, distiller, llm, job, progress)

    def export(
        self,
        path: str | Path,
        form: Format | Literal["jsonl", "flex", "markdown"] = Format.JSONL,
        *,
        projects: Projects = None,
        force: bool = False,
    ) -> Path:
        """Write the library to a file, whole or not at all, which is returned.

        Args:
            path: where; only an earlier export is written over.
            form: `jsonl` has everything and can be imported; `flex` is the texts of what is active
                in FLEX's form; `markdown` is for reading.
            projects: only what is of these, None among them for general; without searches.
            force: any ordinary file but a database is written over.

        Raises:
            InputError: the file cannot be written, or is another one, which is left as it is.
            SettingError: the path cannot be one.
        """
        wanted = clean_projects(asked(path=path, projects=projects).projects)
        target = path_of(str(path), "the export's path")
        files.export_file(self, target, Format(form), wanted, force=force)
        return target

    def import_file(
        self,
        path: str | Path,
        *,
        project: HereOrNamed | None = None,
        trust: bool = False,
        client: str = "python",
        progress: Progress = silent,
    ) -> "Imported":
        """Take in a FLEX library or an export, told apart by content; all of it or nothing.

        What reads like orders to a model is held back as quarantined, unless `trust` skips the
        screening. Twice adds nothing. `project` puts all of it into one, False into none.

        Raises:
            InputError: the file cannot be read, or is neither.
            SettingError: the path cannot be one.
            EmbedderError: as in `search`.
        """
        asked(path=path)
        source = path_of(str(path), "the path of the import")
        return files.import_file(
            self, source, project=project, client=client, trust=trust, progress=progress
        )


def open_library(
    path: str | Path | None = None,
    *,
    embedder: "str | OwnEmbedder | None" = None,
    embedder_path: str | Path | None = None,
) -> Library:
    """Open an experience library; a new file is made where there is none. Use it in a `with`.

    Args:
        path: its file; None takes FLEX_MCP_LIBRARY or the default place.
        embedder: `ours`, `static` or `fastembed:MODEL`, or an object of your own; None takes
            FLEX_MCP_EMBEDDER or the library's own.
        embedder_path: a folder with the model's files.

    Raises:
        LibraryError: the file cannot be opened, or is no library.
        SettingError: a setting cannot be used.
    """
    named = None if path is None else str(path)
    found = Settings.from_environment(named, said_by="the library's path")
    if embedder_path:
        folder = path_of(str(embedder_path), "embedder_path", folder=True)
        found = replace(found, embedder_path=folder)
    if embedder is None or isinstance(embedder, str):
        return Library(replace(found, embedder=embedder or found.embedder))
    return Library(found, embedder=embedder)
