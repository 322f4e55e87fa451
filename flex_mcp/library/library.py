"""The Library: what can be done with experiences, one transaction a verb.

Blocking and safe to share between threads; doors that are asynchronous call it in worker threads.
No model and no embedding runs inside a transaction.
"""

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, Unpack, cast, overload

from flex_mcp.errors import InputError, LibraryError, NotFoundError, SettingError
from flex_mcp.library import (
    asking,
    briefs,
    curating,
    domains,
    projects,
    recording,
    suggestions,
    works,
)
from flex_mcp.library.catalogue import Catalogue
from flex_mcp.library.conversations import ConversationLog
from flex_mcp.library.lessons import RawLesson, any_accepted, place, prepare
from flex_mcp.library.lists import (
    WantedExperiences,
    WantedHits,
    WantedTrajectories,
    asked_experiences,
    asked_trajectories,
    clean_projects,
    experience_filter,
    trajectory_filter,
)
from flex_mcp.library.retrievals import RetrievalLog
from flex_mcp.library.sessions import Sessions
from flex_mcp.library.works import RawWork
from flex_mcp.models import (
    Counters,
    Curated,
    Curation,
    Decision,
    DecisionKind,
    DomainCount,
    Experience,
    Fields,
    Filter,
    Found,
    Hit,
    Level,
    Origin,
    Outcome,
    ProjectCount,
    Projects,
    Recorded,
    RecordedTrajectory,
    Renaming,
    Reported,
    ReportedOutcome,
    Retrieval,
    Revision,
    Road,
    Sort,
    Statistics,
    Suggestion,
    Suggestions,
    TrajectoryState,
    Vectors,
    VerifiedBy,
    Week,
    WholeExperience,
    WholeTrajectory,
    Write,
    Zone,
    clean_domain,
    new_id,
    utc_now,
    with_general,
)
from flex_mcp.safety.redaction import Redactor, redaction_note
from flex_mcp.search import embedder_choice
from flex_mcp.search.baseline import BACKGROUND, KeptBaseline
from flex_mcp.search.candidates import Search
from flex_mcp.search.embedder_choice import Embedders, LoadEmbedder, Switching
from flex_mcp.search.reasons import Reason
from flex_mcp.search.search import Searched, Searcher
from flex_mcp.settings import path_of
from flex_mcp.storage.protocol import BACKUPS, Store, Transaction
from flex_mcp.validation import checked, glances

if TYPE_CHECKING:
    from flex_mcp.library.forgetting import Forgotten, Plan
    from flex_mcp.library.importing import Bundle, Imported, Into, NewEntry
    from flex_mcp.models.forgetting import Choice, Cleaned  # late: few processes forget

COMPARE = "compare"
SEARCHES = ("search", "measure", COMPARE)  # verbs of the log that change nothing that one reads
BELOW = 5  # hits that are explained beside those served
WEEKS = 1_000  # that are counted together
REMEMBERED = 100  # backups whose paths are kept
PATIENCE = 60.0  # seconds that other programs are waited for
T = TypeVar("T")
Progress = Callable[[int, int], None]  # done and total, after every batch


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def quiet(sentence: str) -> None:
    """Where nobody hears."""


class Library:
    """An experience library.

    Args:
        store: where it lives.
        load_embedder: makes the embedder of a name; its second argument allows fetching a model.
        wanted: the embedder that the user asked for by name; None takes the library's own.
        now: the clock, in UTC.
        redactor: takes the secrets out of all that is stored.

    `client`, where a verb takes it, is written into the history: who asked. Every verb may raise
    `LibraryError` when the file cannot be read or written; nothing is half-done then.
    """

    def __init__(
        self,
        store: Store,
        load_embedder: LoadEmbedder,
        *,
        wanted: str | None = None,
        now: Callable[[], datetime] = utc_now,
        redactor: Redactor | None = None,
    ) -> None:
        self._store = store
        self._redactor = redactor or Redactor()
        self._embedders = Embedders(load_embedder, wanted)
        self._searcher = Searcher(store, self._embedders)
        self._log = RetrievalLog(self._write_waiting)
        self._sessions = Sessions()
        self._now = now
        self.briefs = briefs.Briefs(store, self._writing, self._embedders, now, self._redactor)
        self.conversations = ConversationLog(store, self._writing, now, self._redactor)
        self.catalogue = Catalogue(store)
        self.switching = Switching(store)

    @property
    def name(self) -> str:
        """Where the library lives, such as its path."""
        return self._store.name

    @property
    def read_only(self) -> bool:
        """Whether it cannot be written, as far as is known: another try may find that it can."""
        return self._store.read_only

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._log.close()
        self._store.close()

    def reading(self) -> AbstractContextManager[Transaction]:
        """One snapshot of everything, for exports."""
        return self._store.reading()

    @contextmanager
    def _writing(self, verb: str, client: str) -> Generator[Transaction]:
        """A transaction, logged as this client's, who did this.

        It takes the waiting retrievals along, and so knows the ids just served.

        They are taken, and put back where it fails, while the write lock is held: in between no
        other thread's transaction can miss them.
        """
        taken = Waiting()
        try:
            with self._store.writing(verb, client) as writing:
                taken = Waiting(self._log.take(), self._searcher.take_measured())
                try:
                    _write_aside(writing, taken, self._redactor)
                    yield writing
                except BaseException:
                    taken = self._put_back(taken)
                    raise
        except BaseException:
            self._put_back(taken)  # it failed in its last moment: a full disk
            raise

    def _put_back(self, taken: "Waiting") -> "Waiting":
        self._log.put_back(taken.retrievals)
        self._searcher.put_back(taken.measured)
        return Waiting()

    def _write_waiting(self) -> None:
        with self._writing("measure", "flex-mcp") as writing:
            writing.words.merge()

    # Searching and looking up

    def search(  # noqa: PLR0913  each is one switch of one search
        self,
        query: str,
        *,
        limit: int = 5,
        levels: Iterable[Level] | None = None,
        zones: Iterable[Zone] | None = None,
        domain: str | None = None,
        project: str | None = None,
        all_projects: bool = False,
        abstain: bool = True,
        collapse: bool = True,
        prior: bool = True,
        session: str | None = None,
        client: str = "python",
    ) -> Found:
        """Experiences for a task, best first: those that fit, at most `limit`.

        Args:
            query: the task, as long as it is.
            limit: how many there may be at most; thirty are looked at.
            levels: serve only these levels.
            zones: serve only these zones.
            domain: serve only this path and what lies below it.
            project: whose lessons are served beside the general ones; None: no project's.
            all_projects: those of every project are.
            abstain: serve nothing where nothing fits, and what fits nearly as well as the best.
            collapse: hits that say the same count once.
            prior: what helped before moves up a little; priority and age count too.
            session: whose work it is for, as far as this process can tell; None: nobody's.
            client: who asks.

        Never waits for a writer. The retrieval is written a moment later; where that is not
        possible, `retrieval_id` is None and a notice says why.

        Raises:
            InputError: the query is no valid Unicode, or a word none of its set.
            EmbedderError: the library's vectors need another embedder; it says what to do.
        """
        said = asking.asked(
            query=query, limit=limit, levels=levels, zones=zones, domain=domain, project=project
        )
        question = Search(
            text=query,
            wanted=_filter(said, None if all_projects else with_general(said.project)),
            limit=limit,
            abstain=abstain,
            collapse=collapse,
            prior=self._now() if prior else None,
        )
        found = self._searcher.search(question)
        # Nothing in a domain is less likely than nothing to help: only then it is worth a look.
        missing = None if found.relevance else self.catalogue.missing_domain(question.wanted)
        retrieval_id, refusal = self._logged(query, found, client, session)
        return Found(
            retrieval_id=retrieval_id,
            hits=tuple(found.hits),
            relevance=found.relevance,
            notices=tuple(note for note in (found.notice, missing, refusal) if note),
        )

    def explain(
        self,
        query: str,
        *,
        limit: int = 5,
        all_projects: bool = False,
        **wanted: Unpack[WantedHits],
    ) -> "Explained":
        """What `search` would serve, what comes just below, and what speaks for each.

        The arguments are those of `search`. Nothing is recorded, and nothing counts as served.

        Raises:
            InputError: as in `search`.
            EmbedderError: as in `search`.
        """
        takes = "query", "limit", *WantedHits.__annotations__
        said = asking.asked(takes, query=query, limit=limit, **wanted)
        question = Search(
            text=query,
            wanted=_filter(said, None if all_projects else with_general(said.project)),
            limit=limit,
            prior=self._now(),
        )
        found = self._searcher.search(question)
        all_ = self._searcher.search(replace(question, abstain=False, limit=limit + BELOW))
        served = {hit.experience.id for hit in found.hits}
        below = [hit for hit in all_.hits if hit.experience.id not in served][:BELOW]
        shown = [hit.experience for hit in (*found.hits, *below)]
        return Explained(
            found=Found(
                retrieval_id=None,
                hits=tuple(found.hits),
                relevance=found.relevance,
                notices=(found.notice,) if found.notice else (),
            ),
            below=tuple(below),
            why=self._searcher.reasons(query, shown),
        )

    def waiting(self, session: str, projects: Projects = None) -> int:
        """How many trajectories wait to be distilled; a session is told once, and then 0."""
        if self._store.read_only or self._sessions.was_told(session):
            return 0
        if count := self.briefs.remaining(projects):
            self._sessions.tell(session)
        return count

    def _logged(
        self, query: str, found: Searched, client: str, session: str | None
    ) -> tuple[str | None, str | None]:
        """The retrieval's id, or why there is none."""
        if self._store.read_only:
            return None, "the library cannot be written, so this search was not recorded"
        try:
            self._redactor.check()
        except SettingError as error:
            return None, f"this search was not recorded: {error}"
        id_, now = new_id("r"), self._now()
        best = found.hits[0].experience if found.hits else None
        retrieval = Retrieval(
            id=id_,
            query=query,
            at=now,
            client=client,
            served=tuple(hit.experience.id for hit in found.hits),
            scores=tuple(hit.fit for hit in found.hits),
            block=self._sessions.searched(session, id_, now),
            relevance=found.relevance,
            stratum=best and best.domain and best.domain.partition("/")[0],
            origin=best and (best.origin.by if best.origin.kind == "imported" else "own"),
            size=found.experiences,
        )
        self._log.hand_over(retrieval)
        if (refusal := self._log.refusal) is None:
            return retrieval.id, None
        return None, f"this search was not recorded: {refusal}"

    def calibrate(self) -> None:
        """Measure now how generic queries fare here; searches do it by themselves as it grows."""
        self._searcher.calibrate()
        if not self._store.read_only:
            self._write_waiting()

    def neighbours(
        self,
        texts: Sequence[str],
        *,
        limit: int,
        levels: Iterable[Level] | None = None,
        zones: Iterable[Zone] | None = None,
        projects: Projects = None,
    ) -> list[Experience]:
        """The active experiences nearest to any of some texts, best first: what an updater sees.

        Raises:
            InputError: a word is none of its set, or another argument is wrong.
            EmbedderError: as in `search`.
        """
        said = asking.asked(texts=texts, limit=limit, levels=levels, zones=zones, projects=projects)
        return self._searcher.nearest(
            said.texts, limit, _filter(said, clean_projects(said.projects))
        )

    @overload
    def get(self, ids: str) -> Experience:  # pyright: ignore[reportOverlappingOverload]  a text is a sequence of texts, too
        ...

    @overload
    def get(self, ids: Sequence[str]) -> list[Experience]: ...

    def get(self, ids: str | Sequence[str]) -> Experience | list[Experience]:
        """The experience of an id; of several ids those that are here, in that order.

        Raises:
            NotFoundError: the one is not here.
            InputError: they are no ids.
        """
        several = asking.asked(ids=[ids] if isinstance(ids, str) else ids).ids
        with self._store.reading() as reading:
            found = reading.experiences.get(several)
        if not isinstance(ids, str):
            return found
        if not found:
            raise NotFoundError(f"there is no experience {glances(several)}: a search gives ids")
        return found[0]

    def whole(self, ids: Sequence[str]) -> list[WholeExperience]:
        """Those that are here with their history and how well they are founded, in that order."""
        wanted = asking.asked(ids=ids).ids
        with self._store.reading() as reading:
            return [
                WholeExperience(
                    one, reading.history.of(one.id), reading.trajectories.independent(one.evidence)
                )
                for one in reading.experiences.get(wanted)
            ]

    def history(self, experience_id: str) -> list[Revision]:
        """All revisions of an experience, oldest first."""
        asking.asked(experience_id=experience_id)
        with self._store.reading() as reading:
            return reading.history.of(experience_id)

    def experiences(
        self,
        *,
        sort: Sort = Sort.NEWEST,
        reverse: bool = False,
        after: str | None = None,
        limit: int | None = None,
        **wanted: Unpack[WantedExperiences],
    ) -> list[Experience]:
        """Experiences, newest first unless `sort` says otherwise, all that are wanted or `limit`.

        The next page begins `after` the id of the last one, where that stands then: nothing comes
        twice while others write.

        Raises:
            InputError: a word is none of its set, or another argument is wrong.
            NotFoundError: there is no experience `after`, so a page cannot begin there.
        """
        said = asked_experiences(wanted, sort=sort, reverse=reverse, after=after, limit=limit)
        filtered = experience_filter(said)
        with self._store.reading() as reading:
            if after is not None:
                _check_begins(after, reading.experiences.get([after]))
            ids = reading.experiences.ids(
                filtered, sort=said.sort, reverse=said.reverse, after=after, limit=said.limit
            )
            return reading.experiences.get(ids)

    def count_experiences(self, **wanted: Unpack[WantedExperiences]) -> int:
        """How many `experiences` gives without a limit."""
        filtered = experience_filter(asked_experiences(wanted))
        with self._store.reading() as reading:
            return reading.experiences.count(filtered)

    def trajectories(
        self,
        ids: Sequence[str] | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
        **wanted: Unpack[WantedTrajectories],
    ) -> list[RecordedTrajectory]:
        """Those of the ids that are here, in that order; or those that are wanted, newest first.

        Pages go on as those of `experiences`.

        Raises:
            InputError: ids stand beside what is wanted; or an argument is wrong.
            NotFoundError: there is no trajectory `after`.
        """
        if ids is not None and (wanted or after is not None or limit is not None):
            raise InputError("give ids, or say which trajectories, not both")
        if ids is not None:
            ids = asking.asked(ids=ids).ids
        said = asked_trajectories(wanted, after=after, limit=limit)
        filtered = trajectory_filter(said)
        with self._store.reading() as reading:
            if ids is None:
                if after is not None:
                    _check_begins(after, reading.trajectories.get([after]))
                ids = reading.trajectories.listed(filtered, after=after, limit=said.limit)
            return reading.trajectories.get(ids)

    def count_trajectories(self, **wanted: Unpack[WantedTrajectories]) -> int:
        """How many `trajectories` gives without ids and limit."""
        filtered = trajectory_filter(asked_trajectories(wanted))
        with self._store.reading() as reading:
            return reading.trajectories.count(filtered)

    def whole_trajectories(self, ids: Sequence[str]) -> list[WholeTrajectory]:
        """Those that are here with their searches, outcomes and lessons, in that order."""
        wanted = asking.asked(ids=ids).ids
        with self._store.reading() as reading:
            return [_whole(reading, one) for one in reading.trajectories.get(wanted)]

    def domains(self, projects: Projects = None) -> list[DomainCount]:
        """The domains that something of these projects has, each followed by what lies below it."""
        wanted = clean_projects(asking.asked(projects=projects).projects)
        with self._store.reading() as reading:
            return reading.domains.counts(Filter(projects=wanted))

    def projects(self) -> list[ProjectCount]:
        """The projects that something is of, by name; what is general, None, comes first."""
        with self._store.reading() as reading:
            return reading.projects.counts()

    def statistics(self, projects: Projects = None) -> Statistics:
        """Counts of the library, or of these projects."""
        with self._store.reading() as reading:
            return reading.statistics(projects)

    def weeks(self, count: int = 12, projects: Projects = None) -> list[Week]:
        """What happened in the last weeks, of these projects; the present week is the last one.

        A week begins on Monday, by UTC. Searches are those of all projects: they have none.

        Raises:
            InputError: the count is not 1 to 1,000.
        """
        if count not in range(1, WEEKS + 1):
            raise InputError(f"count cannot be {count!r}: say 1 to {WEEKS:,} weeks")
        today = self._now().date()
        first = today - timedelta(days=today.weekday(), weeks=count - 1)
        with self._store.reading() as reading:
            return reading.weeks(first, count, projects)

    def last_revisions(self, limit: int, projects: Projects = None) -> list[Revision]:
        """The last changes of the library, newest first: of lessons of these projects."""
        wanted = clean_projects(asking.asked(limit=limit, projects=projects).projects)
        with self._store.reading() as reading:
            return reading.history.last(limit, wanted)

    def last_writes(
        self, limit: int, about: str | None = None, *, searches: bool = True
    ) -> list[Write]:
        """Who wrote last, newest first; `about` keeps those that name this id.

        Without `searches` those are left out that only keep a search, or what was measured for one.

        Raises:
            NotFoundError: no write names it, and the library holds nothing of that id.
        """
        asking.asked(limit=limit, about=about)
        with self._store.reading() as reading:
            found = reading.log.last(limit, about, () if searches else SEARCHES)
            if about is not None and not found and not reading.log.knows(about):
                raise NotFoundError(
                    f"there is nothing here with the id {about!r}: a search, `flex-mcp list` and "
                    "`flex-mcp log` give ids"
                )
            return found

    def long_writes(self, limit: int, about: str) -> list[Write]:
        """Those that touched more than they name, and so may have touched this id unsaid."""
        asking.asked(limit=limit, about=about)
        with self._store.reading() as reading:
            return reading.log.unnamed(limit, about)

    # Recording

    def record(  # noqa: PLR0913  each is one part of what was done
        self,
        trajectory: RawWork,
        *,
        lessons: Sequence[RawLesson] = (),
        retrieval_ids: Sequence[str] = (),
        helpful: Sequence[str] = (),
        harmful: Sequence[str] = (),
        key: str | None = None,
        replace_pending: bool = False,
        session: str | None = None,
        client: str = "python",
    ) -> Recorded:
        """Keep a trajectory, once, and place the lessons that come with it.

        Without `key`, a hash of task, steps or transcript, answer, outcome and feedback tells
        whether it is here already. Under the same key the same work with a known outcome tells a
        later one. The searches named get its outcome.

        Args:
            trajectory: what was tried, and how it ended; a `Trajectory`, or a mapping with its
                fields, which may hold those below up to the key, too.
            lessons: what it taught, where that is known.
            retrieval_ids: the searches that it used.
            helpful: experiences that helped, at each of these searches that served them; without
                any, at the session's searches of the last two hours.
            harmful: those that misled.
            key: the caller's own name for it.
            replace_pending: other work under the key takes the place of what waits to be distilled
                and is in no open brief; what was there is kept aside until it is forgotten.
            session: as in `search`.
            client: who did it.

        What is named and was not served is `unmatched` in the answer, and nothing is lost for it.

        Raises:
            InputError: the trajectory is malformed, or the key is taken by other work. A lesson
                that cannot be placed is refused alone.
        """
        ready = self._ready(
            trajectory,
            session,
            lessons=lessons,
            retrieval_ids=retrieval_ids,
            helpful=helpful,
            harmful=harmful,
            key=key,
        )
        prepared = prepare(ready.lessons, self._store, self._embedders, self._redactor)
        replacing, now = replace_pending, self._now()
        with self._writing("record", client) as writing:
            return works.kept(writing, ready, prepared, by=client, now=now, replacing=replacing)

    def _ready(self, given: RawWork, session: str | None, **beside: Any) -> works.ReadyWork:
        work, now = works.whole(given, **beside), self._now()
        block, recent = self._sessions.block(session, now), self._sessions.recent(session, now)
        return works.ready(work, now, self._redactor, block=block, recent=recent)

    def record_many(
        self,
        trajectories: Iterable[RawWork],
        *,
        session: str | None = None,
        client: str = "python",
        progress: Progress = silent,
    ) -> list[Recorded | InputError]:
        """Keep many trajectories with their lessons, a hundred in one transaction.

        Args:
            trajectories: each as `record` takes it; they are read a hundred at a time.
            session: as in `search`.
            client: who did it.
            progress: hears of every hundred; the total is 0 where nobody knows it.

        For each, in their order, what `record` would give; or the error that it would raise: what
        is wrong with one is never the others' loss. What is raised concerns them all; the hundreds
        before stay recorded, and recording them again stores nothing twice.

        Raises:
            InputError: they are no list.
        """
        if isinstance(trajectories, str | Mapping) or not hasattr(trajectories, "__iter__"):
            raise InputError("record_many takes several trajectories: give a list, or call record")
        total = len(trajectories) if isinstance(trajectories, Sized) else 0
        made: list[Recorded | InputError] = []
        for batch in works.batches(trajectories):
            made += self._record_batch(batch, session, client)
            progress(len(made), total)
        return made

    def _record_batch(
        self, batch: Sequence[RawWork], session: str | None, client: str
    ) -> list[Recorded | InputError]:
        ready = [works.or_error(self._ready, one, session) for one in batch]
        good = [one for one in ready if not isinstance(one, InputError)]
        lessons = [lesson for one in good for lesson in one.lessons]
        prepared = prepare(lessons, self._store, self._embedders, self._redactor)
        parts, now = works.apart(prepared, good), self._now()
        with self._writing("record", client) as writing:
            return [
                one
                if isinstance(one, InputError)
                else works.or_error(works.kept, writing, one, next(parts), by=client, now=now)
                for one in ready
            ]

    def report(
        self,
        retrieval_id: str,
        outcome: Outcome,
        *,
        helpful: Sequence[str] = (),
        harmful: Sequence[str] = (),
        client: str = "python",
    ) -> list[Counters]:
        """Say how the task ended that a search served; the last report of a retrieval counts.

        Success adds a success and failure a failure to each experience served. Where any is named,
        only the named count: a helpful one a success, a harmful one a failure. Partial and unknown
        add nothing. Names are kept, and a later report without any keeps them.

        Raises:
            InputError: the retrieval is not known, or did not serve an experience that is named;
                or the outcome is none.
        """
        told = asking.told(
            retrieval_id=retrieval_id, outcome=outcome, helpful=helpful, harmful=harmful
        )
        with self._writing("report", client) as writing:
            said = ReportedOutcome(
                outcome=told.outcome, at=self._now(), by=client, retrieval_id=retrieval_id
            )
            return recording.report(writing, said, told.helpful, told.harmful)

    def report_trajectory(  # noqa: PLR0913  each is one part of an outcome
        self,
        trajectory: str,
        outcome: Outcome,
        *,
        score: float | None = None,
        feedback: str | None = None,
        verified_by: VerifiedBy = VerifiedBy.NONE,
        helpful: Sequence[str] = (),
        harmful: Sequence[str] = (),
        client: str = "python",
    ) -> Reported:
        """Say how the work of a trajectory ended, by its id or key, where that is known later.

        Every outcome is kept, and the last one counts, for all the searches that it used. The
        answer names the experiences that were learnt from it.

        Raises:
            InputError: there is no such trajectory, or its searches did not serve what is named;
                or a word is none of its set.
        """
        told = asking.told(
            trajectory=trajectory,
            outcome=outcome,
            score=score,
            feedback=feedback,
            verified_by=verified_by,
            helpful=helpful,
            harmful=harmful,
        )
        said, name = self._redactor.value(
            (
                ReportedOutcome(
                    outcome=told.outcome,
                    at=self._now(),
                    by=client,
                    score=told.score,
                    feedback=told.feedback,
                    verified_by=told.verified_by,
                ),
                trajectory,
            )
        )
        with self._writing("report", client) as writing:
            return recording.report_trajectory(writing, name, said, told.helpful, told.harmful)

    # Lessons

    def add(
        self,
        lesson: RawLesson,
        *,
        evidence: Sequence[str] = (),
        project: str | None = None,
        typed: bool = False,
        priority: int | None = None,
        client: str = "python",
    ) -> Decision:
        """Place one lesson that is known without a model: `apply` for one, which raises.

        The decision names the experience that it became, or the one that says it already.

        Raises:
            InputError: all that is wrong with the lesson, or why it cannot be placed.
            NotFoundError: a trajectory is not here.
        """
        (decision,) = self.apply(
            [lesson],
            evidence=evidence,
            project=project,
            typed=typed,
            priority=priority,
            client=client,
        )
        if decision.decision is DecisionKind.REFUSED:
            raise InputError(decision.reason)
        return decision

    def apply(
        self,
        lessons: Sequence[RawLesson],
        *,
        evidence: Sequence[str] = (),
        project: str | None = None,
        typed: bool = False,
        priority: int | None = None,
        client: str = "python",
    ) -> list[Decision]:
        """Place lessons, all in one transaction; one that cannot be placed is refused alone.

        Args:
            lessons: values, or mappings with the fields of `Lesson`.
            evidence: the trajectories that they come from, which are distilled once one is
                accepted; without any the lessons are told.
            project: where they are told; None: nobody knows.
            typed: a person wrote them. What a program tells is screened as strictly as what comes
                from outside.
            priority: with which they begin, 1 to 5; None: as their evidence says.
            client: who wrote them.

        Raises:
            NotFoundError: a trajectory is not here.
            InputError: a brief claims one of them, or the priority is none.
        """
        said = asking.asked(lessons=lessons, evidence=evidence, project=project)
        checked(Fields, Fields(priority=priority))
        evidence = [*dict.fromkeys(said.evidence)]
        lessons = cast("Sequence[RawLesson]", said.lessons)
        prepared = prepare(lessons, self._store, self._embedders, self._redactor)
        told = not evidence
        origin = Origin(
            kind="told" if told else "distilled", by=client, road=None if told else Road.AGENT
        )
        with self._writing("apply", client) as writing:
            now, found = self._now(), briefs.known_trajectories(writing, evidence)
            briefs.check_free(writing, evidence, now)
            strictly = told and not typed
            decisions = place(
                writing,
                prepared,
                found,
                origin=origin,
                now=now,
                here=project,
                strictly=strictly,
                priority=priority,
            )
            if any_accepted(decisions):
                writing.trajectories.set_state(evidence, TrajectoryState.DISTILLED)
            return decisions

    # Curating

    def curate(  # noqa: PLR0913  each is one part of one change
        self,
        experience_id: str,
        action: Curation,
        *,
        reason: str,
        fields: Fields | None = None,
        into: str | None = None,
        seen: int | Mapping[str, int] | None = None,
        dry_run: bool = False,
        client: str = "python",
    ) -> Curated:
        """Approve, quarantine, retire, restore, edit, revert or merge one experience.

        Returns it as it is now, and the revision that says what changed. An edit that reads like
        orders to a model makes it quarantined. A merge goes `into` another, as `merge` says; its
        revert takes back what it did to both, unless one was changed since. `seen` is the revision
        that somebody decided on, or those of all that it changes, by id. A dry run says what would
        become of it, and changes nothing.

        Raises:
            NotFoundError: there is no such experience.
            InputError: the action does not go with its status or with the fields.
            EmbedderError: its text changes and the embedder cannot be used.
        """
        wished = asking.wished(
            experience_id=experience_id, action=action, fields=fields, reason=reason, into=into
        )
        shown = {experience_id: seen} if isinstance(seen, int) else seen
        change = replace(self._change(wished, client), seen=shown or {})
        prepared = curating.prepare(self._store, self._embedders, experience_id, change)
        if dry_run:
            return curating.planned(prepared)
        with self._writing(f"curate {action}", client) as writing:
            return curating.changed(writing, prepared)

    def curate_all(  # noqa: PLR0913  each is one part of one change
        self,
        ids: Sequence[str],
        action: Curation,
        *,
        reason: str,
        fields: Fields | None = None,
        seen: Mapping[str, int] | None = None,
        dry_run: bool = False,
        client: str = "python",
    ) -> list[Curated]:
        """Do the same to several experiences, all of them or none; in the order of their ids.

        An edit of several takes what they may have in common (domain, project, tags, priority,
        zone, level), a revert goes back before the last revision of each, and a merge is of one.
        What a revert takes along with one is not reverted once more. `seen` has by id the revision
        that somebody decided on. A dry run says what would become of them.

        Raises:
            InputError: all that is wrong, of every experience: it is not here, the action does not
                go with its status or with the fields, or it was changed since it was seen.
            EmbedderError: a text changes and the embedder cannot be used.
        """
        wished = asking.wished(action=action, fields=fields, reason=reason)
        change = replace(self._change(wished, client), seen=seen or {})
        unique = list(dict.fromkeys(asking.asked(ids=ids).ids))
        prepared = curating.prepare_all(self._store, self._embedders, unique, change)
        if dry_run:
            return [*map(curating.planned, prepared)]
        with self._writing(f"curate {action}", client) as writing:
            return [curating.changed(writing, one) for one in prepared]

    def _change(self, wished: asking.Wished, client: str) -> curating.Change:
        """What is wished, without secrets."""
        change = curating.Change(
            action=wished.action,
            fields=wished.fields or Fields(),
            reason=wished.reason,
            actor=client,
            now=self._now(),
            into=wished.into,
        )
        change, count = self._redactor.clean(change)
        if count:
            change = replace(change, reason=f"{change.reason} ({redaction_note(count)})")
        return change

    def merge(
        self,
        experience_id: str,
        into: str,
        *,
        reason: str,
        fields: Fields | None = None,
        client: str = "python",
    ) -> Curated:
        """Merge an experience into another, which gets its evidence and the fields, if any.

        The one is retired, superseded by the other, which is returned with its revision; `also` is
        the revision of the one that went.

        Raises:
            NotFoundError: one of them is not here.
            InputError: one is not active, both are the same, or the fields are refused.
            EmbedderError: the text changes and the embedder cannot be used.
        """
        return self.curate(
            experience_id, Curation.MERGE, reason=reason, fields=fields, into=into, client=client
        )

    def needs_consent(
        self, experience_id: str, action: Curation, fields: Fields | None = None
    ) -> Experience | None:
        """What this would approve, or serve although it is held back, as it would be; else None.

        Doors behind which no person stands ask for a yes first; `curate` itself asks nobody.

        Raises:
            NotFoundError: there is no such experience.
            InputError: the action does not go with its status or with the fields.
        """
        wished = asking.wished(experience_id=experience_id, action=action, fields=fields)
        with self._store.reading() as reading:
            return curating.question(
                reading, experience_id, wished.action, wished.fields or Fields()
            )

    def rename_domain(
        self, old: str, new: str, *, dry_run: bool = False, client: str = "python"
    ) -> Renaming:
        """Rename a domain with all that lies below it: experiences, served or not, trajectories.

        Where something stands under the new name already, both become one. Each experience gets a
        revision, which `curate` can revert. A dry run says what would change.

        Raises:
            NotFoundError: nothing stands under the old name.
            InputError: a name is empty, or the new one is the same, below the old one, too long,
                or reads like orders to a model.
        """
        asking.asked(old=old, new=new)
        names = domains.names(old, self._redactor.value(new))
        if dry_run:
            with self._store.reading() as reading:
                return domains.planned(reading, *names)
        with self._writing("rename domain", client) as writing:
            plan = domains.planned(writing, *names)
            domains.rename(writing, plan, now=self._now(), actor=client)
        return plan

    def rename_project(
        self, old: str, new: str, *, dry_run: bool = False, client: str = "python"
    ) -> Renaming:
        """Rename a project: experiences, served or not, and trajectories.

        Where something is of the new name already, both become one. Each experience gets a
        revision, which `curate` can revert. A dry run says what would change.

        Raises:
            NotFoundError: nothing is of the old name.
            InputError: a name is empty, or the new one is the same, too long, a word for no
                project, or reads like orders to a model.
        """
        asking.asked(old=old, new=new)
        names = projects.names(old, self._redactor.value(new))
        if dry_run:
            with self._store.reading() as reading:
                return projects.planned(reading, *names)
        with self._writing("rename project", client) as writing:
            plan = projects.planned(writing, *names)
            projects.rename(writing, plan, now=self._now(), actor=client)
        return plan

    # Reviewing

    def suggestions(
        self,
        *,
        levels: Iterable[Level] | None = None,
        zones: Iterable[Zone] | None = None,
        domain: str | None = None,
        projects: Projects = None,
    ) -> Suggestions:
        """What is worth a person's look, the most urgent first, and how much was not compared yet.

        Of a pair both have to be of these projects, and one of these levels, zones and domain.
        Nothing is compared here: `find_pairs` does that.

        Raises:
            InputError: a word is none of its set.
        """
        said = asking.asked(levels=levels, zones=zones, domain=domain, projects=projects)
        wanted = _filter(said, clean_projects(said.projects))
        with self._store.reading() as reading:
            return suggestions.suggestions(reading, wanted, self._now())

    def find_pairs(
        self,
        limit: int | None = None,
        *,
        client: str = "python",
        progress: Progress = silent,
    ) -> int:
        """Find the experiences that say the same or the opposite, and keep them as suggestions.

        Each that came or changed since the last time is compared with what is nearest to it, some
        milliseconds each; `limit` of them. Returns how many are left. A run that was stopped goes
        on where it was.

        Raises:
            InputError: the limit is no number.
        """
        asking.asked(limit=limit)
        if self._store.read_only:
            return self.suggestions().uncompared
        return suggestions.find_pairs(
            self._store, lambda: self._writing(COMPARE, client), limit, progress
        )

    def dismiss(
        self,
        suggestion: Suggestion,
        *,
        seen: Mapping[str, int] | None = None,
        undo: bool = False,
        client: str = "python",
    ) -> None:
        """Leave what was suggested as it is: it comes again when one of its texts has changed.

        `seen` are by id the revisions that somebody was shown. `undo` takes a dismissal back.

        Raises:
            NotFoundError: an experience of it is not here.
            InputError: it is no suggestion, or was changed since it was shown.
        """
        suggestions.check_form(suggestion)
        with self._writing("dismiss", client) as writing:
            suggestions.check(writing, suggestion, seen or {})
            if undo:
                writing.suggestions.take_up(suggestion)
            else:
                writing.suggestions.dismiss(suggestion)

    # Forgetting

    def forgettable(self, choice: "Choice", *, keep_shared: bool = False) -> "Plan":
        """What `forget` would delete; nothing changes.

        Raises:
            NotFoundError: an id is not here.
            InputError: the text is empty, or another part of the choice is wrong.
        """
        from flex_mcp.library import forgetting  # late: few processes forget

        choice = forgetting.checked_choice(choice)
        with self._store.reading() as reading:
            return forgetting.planned(reading, choice, keep_shared=keep_shared)

    def forget(
        self,
        choice: "Choice",
        *,
        keep_shared: bool = False,
        client: str = "python",
        patience: float = PATIENCE,
        say: Callable[[str], None] = quiet,
    ) -> "Forgotten":
        """Delete trajectories or experiences and all that stems from them, for good, and check it.

        Args:
            choice: what goes.
            keep_shared: experiences that have other evidence too stay, with their present text and
                without their history.
            client: who asks.
            patience: seconds that other programs are waited for, once all is deleted.
            say: hears of waiting.

        The rows go in one transaction. Then the file is cleaned, its automatic copies are deleted,
        and it is checked that nothing names what went; where that is not possible, the answer says
        why and `finish_forgetting` goes on.

        Raises:
            NotFoundError: an id is not here.
            InputError: the text is empty, or another part of the choice is wrong.
        """
        from flex_mcp.library import forgetting  # late: few processes forget

        choice = forgetting.checked_choice(choice)
        with self._store.reading() as reading:
            chosen = forgetting.chosen(reading, choice)
        with self._writing("forget", client) as writing:
            affected = forgetting.affected(writing, chosen, keep_shared=keep_shared)
            if affected:
                forgetting.forget(writing, affected, self._now(), client)
        cleaned = self.finish_forgetting(patience=patience, say=say)
        if cleaned.unfinished is None and not choice.ids:
            with self._store.reading() as reading:
                left = ", ".join(forgetting.left(reading, choice, affected))
            if left:
                sentence = f"{left} fits as well, and came meanwhile: forget again"
                cleaned = replace(cleaned, unfinished=sentence)
        return forgetting.Forgotten(plan=forgetting.Plan(affected=affected), cleaned=cleaned)

    def finish_forgetting(
        self, *, patience: float = PATIENCE, say: Callable[[str], None] = quiet
    ) -> "Cleaned":
        """Go on with a cleaning that was stopped; `checked` is None where there was none."""
        from flex_mcp.library import forgetting  # late: as above

        return forgetting.finished(self._store, patience, say)

    # In, out, and anew

    def backup(self, path: str | Path | None = None, *, client: str = "python") -> Path:
        """Copy the library, as it is now, to a new file, while others go on writing.

        The copy is checked, and whole or not there; it is a library that opens by itself. Without
        a path it goes beside the library. Where the library can be written it remembers the path,
        which is returned.

        Raises:
            InputError: there is a file of that name, or no such folder.
            SettingError: the path cannot be one.
        """
        asking.asked(path=path or Path())
        self._log.flush()
        target = None if path is None else path_of(str(path), "the backup's path")
        made = self._store.back_up(target)
        with suppress(LibraryError), self._writing("backup", client) as writing:
            known = json.loads(writing.settings.get(BACKUPS) or "[]")
            writing.settings.set(BACKUPS, json.dumps([*known, str(made)][-REMEMBERED:]))
        return made

    def clean(self, value: T) -> tuple[T, int]:
        """A value as it would be stored: its texts without secrets, and how many they were.

        Raises:
            SettingError: FLEX_MCP_REDACT is none of its values.
        """
        return self._redactor.clean(value)

    def import_entries(
        self,
        entries: Sequence["NewEntry"],
        *,
        source: str,
        document: str = "{}",
        client: str = "python",
        trust: bool = False,
        progress: Progress = silent,
    ) -> "Imported":
        """Take in FLEX entries; a part that was imported before is not made again.

        `document` is what their file holds beside them, as JSON; the first one is kept. What reads
        like orders to a model is held back as quarantined, unless `trust` skips the screening.

        Raises:
            EmbedderError: as in `search`.
        """
        from flex_mcp.library import importing  # late: few processes import

        return importing.import_entries(
            entries,
            self._into(client, progress, trust=trust),
            source=source,
            document=document,
            actor=client,
        )

    def import_bundle(
        self,
        bundle: "Bundle",
        *,
        client: str = "python",
        trust: bool = False,
        progress: Progress = silent,
    ) -> "Imported":
        """Take in a bundle; what is here already, by id, is left as it is.

        Screened as by `import_entries`; approvals count only with `trust`.

        Raises:
            EmbedderError: as in `search`.
        """
        from flex_mcp.library import importing  # late: as above

        return importing.import_bundle(bundle, self._into(client, progress, trust=trust))

    def _into(self, client: str, progress: Progress, *, trust: bool) -> "Into":
        from flex_mcp.library.importing import Into  # late: as above

        return Into(
            store=self._store,
            embedders=self._embedders,
            writing=lambda: self._writing("import", client),
            now=self._now(),
            progress=progress,
            redactor=self._redactor,
            trust=trust,
        )

    def reindex(
        self, name: str | None = None, *, client: str = "python", progress: Progress = silent
    ) -> Vectors:
        """Make all vectors anew and switch to them; until then the old ones serve.

        `name` is that of the embedder; default: the one asked for, or the library's own. Its model
        may be fetched. A run that was stopped is resumed.

        Raises:
            EmbedderError: the model cannot be loaded or fetched.
        """
        asking.asked(name=name)
        with self._store.reading() as reading:
            embedder = self._embedders.target(reading.vectors.made_by(), name)
        vectors = embedder_choice.reindex(self._store, embedder, client, progress)
        self._searcher.calibrate(embedder)
        self._write_waiting()
        return vectors


class Explained(NamedTuple):
    """What a search would serve, what comes just below, and what speaks for each, by id."""

    found: Found
    below: tuple[Hit, ...]
    why: dict[str, Reason]


class Waiting(NamedTuple):
    """What searches leave to be written: their retrievals, and a background measured anew."""

    retrievals: Sequence[Retrieval] = ()
    measured: KeptBaseline | None = None


def _write_aside(writing: Transaction, waiting: Waiting, redactor: Redactor) -> None:
    for client, retrievals in groupby(waiting.retrievals, lambda retrieval: retrieval.client):
        for retrieval in retrievals:
            writing.retrievals.add(redactor.value(retrieval))  # here: no search waits for it
        writing.log.sign("search", client)
    if waiting.measured:
        writing.settings.set(BACKGROUND, waiting.measured.as_json())


def _check_begins(after: str, found: Sequence[object]) -> None:
    if not found:
        raise NotFoundError(f"no page begins after {after!r}, which is not here: list anew")


def _whole(reading: Transaction, one: RecordedTrajectory) -> WholeTrajectory:
    searches = filter(None, map(reading.retrievals.get, one.retrieval_ids))
    return WholeTrajectory(
        one,
        sorted(searches, key=lambda search: search.at),
        reading.outcomes.of(one.id),
        reading.experiences.get(reading.experiences.evidenced_by([one.id])),
    )


def _filter(wanted: asking.Asked, projects: Projects = None) -> Filter:
    return Filter(
        levels=None if wanted.levels is None else frozenset(wanted.levels),
        zones=None if wanted.zones is None else frozenset(wanted.zones),
        domain=clean_domain(wanted.domain),
        projects=projects,
    )
