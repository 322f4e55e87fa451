"""Working through the pending trajectories, several groups at once or in message batches.

Each group is a brief of its own, settled by itself. A kill loses at most what is in work, which
stays pending; what was settled stays settled.
"""

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from flex_mcp.errors import FlexError, InputError, ModelError, ModelServiceError
from flex_mcp.learning.briefing import Distillation
from flex_mcp.learning.distiller import Distiller
from flex_mcp.learning.llm import LLM, AnthropicLLM, ReplyPending
from flex_mcp.library.conversations import ConversationLog
from flex_mcp.library.library import Library, Progress, silent
from flex_mcp.models import TRAJECTORIES, Brief, Road, Wanted
from flex_mcp.models.briefs import Reply, Turn

ROUND = 1_000  # briefs that are in one message batch: the service takes 100,000 questions
BATCH_CLAIM = timedelta(hours=25)  # a batch may take 24
ALIVE = timedelta(seconds=90)  # a process that waits for a batch looks at it more often
BEFORE = timedelta(minutes=10)  # until a batch carries them: a kill then loses no day
PAUSES = (1, 2, 5, 10, 20, 30, 60)  # seconds between two looks; the last one stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to work through: those named, or the pending ones up to `limit`."""

    ids: Sequence[str] | None = None
    limit: int | None = None
    dry_run: bool = False
    at_once: int = 4
    client: str = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Trajectories that stay pending, and why."""

    trajectory_ids: tuple[str, ...]
    reason: str


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of a job.

    `stopped` says why nothing more was begun; `elsewhere` counts trajectories that are in work in
    another process.
    """

    made: list[Distillation] = field(default_factory=list[Distillation])
    failures: list[Failure] = field(default_factory=list[Failure])
    stopped: str | None = None
    remaining: int = 0
    elsewhere: int = 0


class _Run:
    """One job under way; threads share it."""

    def __init__(
        self, library: Library, distiller: Distiller, job: Job, left: Iterable[Brief] = ()
    ) -> None:
        self.report = Report()
        self._library = library
        self._distiller = distiller
        self._job = job
        self._lock = threading.RLock()
        self._skip: set[str] = set()
        there = {id_ for brief in left for id_ in brief.trajectory_ids}  # these are worked on
        named = [id_ for id_ in dict.fromkeys(job.ids or ()) if id_ not in there]
        wanted = Wanted(ids=named, limit=len(named))
        free = library.briefs.claimable(wanted) if named else []
        self._named = None if job.ids is None else [one.id for one in free]
        self._taken = 0
        self._done = 0
        pending = library.briefs.remaining()
        self._most = len(job.ids) if job.ids else min(job.limit or pending, pending)

    def take(self, llm: LLM) -> Brief | None:
        """The next group; None where the job is done or stopped."""
        job = self._job
        with self._lock:
            left = TRAJECTORIES if job.limit is None else job.limit - self._taken
            if self.report.stopped or left <= 0 or self._named == []:
                return None
            limit = min(left, TRAJECTORIES)
            wanted = Wanted(ids=self._named, limit=limit, skip=frozenset(self._skip))
            try:
                brief = self._distiller.open(wanted, llm, client=job.client)
            except InputError as error:
                if self._named is None:
                    raise
                self._failed(self._named, error)  # another process took them meanwhile
                self._named, brief = [], None
            if brief:
                self._taken += len(brief.trajectory_ids)
                if self._named is not None:
                    self._named = [one for one in self._named if one not in brief.trajectory_ids]
                self._skip |= set(brief.trajectory_ids)  # once given up it is free for anybody
            return brief

    def work(self, brief: Brief, llm: LLM, progress: Progress) -> None:
        """Distil one group; what goes wrong with it goes into the report.

        Raises:
            ReplyPending: its reply comes later.
        """
        job = self._job
        try:
            made = self._distiller.work(brief, llm, client=job.client, dry_run=job.dry_run)
        except (ModelError, InputError) as error:
            self._failed(brief.trajectory_ids, error)
        else:
            with self._lock:
                self.report.made.append(made)
                self._skip -= set() if job.dry_run else set(brief.trajectory_ids)
        with self._lock:
            self._done += len(brief.trajectory_ids)
            progress(self._done, max(self._most, self._done))

    def _failed(self, ids: Sequence[str], error: FlexError) -> None:
        failure = Failure(trajectory_ids=tuple(ids), reason=str(error))
        with self._lock:
            self.report.failures.append(failure)
            self._skip |= set(ids)  # of a brief that was taken up, too
            if isinstance(error, ModelServiceError):
                self.stop(str(error))

    def stop(self, why: str) -> None:
        with self._lock:
            self.report.stopped = self.report.stopped or why

    def end(self, road: Road) -> Report:
        self.report.remaining = self._library.briefs.remaining()
        self.report.elsewhere, _ = self._library.briefs.in_work(road)
        return self.report


def work_through(
    library: Library, distiller: Distiller, llm: LLM, job: Job, progress: Progress = silent
) -> Report:
    """Distil group after group until the job is done, `job.at_once` at a time.

    A group whose answers cannot be used stays pending. Where the model cannot be asked at all,
    nothing more is begun. Groups of a process that died are taken over when its claims have ended.

    Raises:
        NotFoundError: a trajectory that is named is not here.
        InputError: all those named are distilled, or claimed by another brief.
        EmbedderError: lessons could not be placed now.
    """
    library.briefs.check_embedder()
    run = _Run(library, distiller, job)

    def worker() -> None:
        while brief := run.take(llm):
            run.work(brief, llm, progress)

    while True:
        with ThreadPoolExecutor(job.at_once, thread_name_prefix="distil") as pool:
            try:
                for future in [pool.submit(worker) for _ in range(job.at_once)]:
                    future.result()
            except BaseException as error:
                run.stop(str(error) or "stopped")  # those in work are ended first
                raise
        _, until = library.briefs.in_work(llm.road)
        soon = library.briefs.now() + llm.claim
        chosen = job.limit is not None or job.ids is not None
        if run.report.stopped or chosen or until is None or until > soon:
            return run.end(llm.road)
        time.sleep(1)  # the others show a sign of life, or die, soon


class _BatchLLM:
    """Replies that have come; the rest comes later."""

    road = Road.ANTHROPIC
    claim = BEFORE

    def __init__(self, window: int) -> None:
        self.window = window
        self.replies: dict[str, Reply | ModelError] = {}

    def ask(self, turn: Turn) -> Reply:
        match self.replies.pop(turn.key, None):
            case None:
                raise ReplyPending(turn)
            case ModelError() as error:
                raise error
            case Reply() as reply:
                return reply


def work_in_batches(
    library: Library,
    distiller: Distiller,
    service: AnthropicLLM,
    job: Job,
    progress: Progress = silent,
) -> Report:
    """The same by message batches: slower, at half the price. Takes up what an earlier run left.

    Raises as `work_through` does.
    """
    library.briefs.check_embedder()
    log = library.conversations.by(job.client)
    briefs = {} if job.dry_run else {one.id: one for one in _left(library, log)}
    run = _Run(library, distiller, job, briefs.values())
    llm = _BatchLLM(service.window)
    while True:
        try:
            with _adoptable_after(log, briefs, kept=not job.dry_run):
                while len(briefs) < ROUND and (brief := run.take(llm)):
                    briefs[brief.id] = brief
                if not briefs:
                    return run.end(llm.road)
                waiting = list(_asked(run, llm, briefs, progress))
                llm.replies |= _answered(log, service, briefs, waiting)
        except ModelServiceError as error:
            run.stop(str(error))
            return run.end(llm.road)


def _left(library: Library, log: ConversationLog) -> list[Brief]:
    """The briefs of batches whose process is gone."""
    found = [log.of(id_)[0] for ids in log.batches().values() for id_ in ids]
    latest = library.briefs.now() + BATCH_CLAIM - ALIVE
    soonest = library.briefs.now() + BEFORE  # those before are about to be sent, or free again soon
    dead = [one for one in found if one and soonest < one.expires_at < latest]
    return [one for one in dead if log.take_over(one, BATCH_CLAIM)]


@contextmanager
def _adoptable_after(
    log: ConversationLog, briefs: Mapping[str, Brief], *, kept: bool
) -> Generator[None]:
    """However this process ends, another run may take its batches up, and all else, at once."""
    try:
        yield
    except BaseException:
        for id_ in briefs:
            if kept and any(turn.batch for turn in log.of(id_)[1]):
                log.claim(id_, BATCH_CLAIM - ALIVE)
            else:
                log.release(id_)
        raise


def _asked(
    run: _Run, llm: _BatchLLM, briefs: dict[str, Brief], progress: Progress
) -> Iterator[Turn]:
    """Take every brief as far as it goes; the turns that wait for a reply."""
    for brief in list(briefs.values()):
        try:
            run.work(brief, llm, progress)
        except ReplyPending as pending:
            yield pending.turn
        else:
            del briefs[brief.id]


def _answered(
    log: ConversationLog,
    service: AnthropicLLM,
    briefs: Mapping[str, Brief],
    waiting: Sequence[Turn],
) -> dict[str, Reply | ModelError]:
    """The replies to the turns that wait, when their batches have ended."""
    batches = {turn.batch for turn in waiting if turn.batch}
    fresh = [turn for turn in waiting if turn.batch is None]
    lost = ModelError("its batch did not answer it: run it again")
    replies: dict[str, Reply | ModelError] = {turn.key: lost for turn in waiting}
    if fresh:
        with _answering(fresh, replies):  # too much at once, or one text that it does not take
            batch = service.submit(fresh)
            log.batch(fresh, batch)
            batches.add(batch)
    pauses = iter(PAUSES)
    while batches:
        for id_ in briefs:
            log.claim(id_, BATCH_CLAIM)
        for batch in sorted(batches):
            found: Mapping[str, Reply | ModelError] | None = {}
            with _answering([turn for turn in waiting if turn.batch == batch], replies):  # gone
                found = service.collect(batch)
            if found is not None:
                replies |= found
                batches.remove(batch)
        if batches:
            time.sleep(next(pauses, PAUSES[-1]))
    return replies


@contextmanager
def _answering(turns: Sequence[Turn], replies: dict[str, Reply | ModelError]) -> Generator[None]:
    """What goes wrong with these turns alone is their reply."""
    try:
        yield
    except ModelServiceError:
        raise
    except ModelError as error:
        replies |= {turn.key: error for turn in turns}
