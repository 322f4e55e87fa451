"""The Store seam: what a Library asks of the place that keeps it, noun by noun.

`reading()` gives a transaction that sees one moment and changes nothing; `writing()` one that is
committed when the block ends, rolled back when it raises. Values go in and come out as `models`;
ids are text everywhere. `SqliteStore` implements it; a test suite states the contract.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from flex_mcp.models import (
    Brief,
    Counters,
    Decision,
    DomainCount,
    Experience,
    ExperienceFilter,
    Filter,
    Outcome,
    Place,
    ProjectCount,
    Projects,
    RecordedTrajectory,
    Relation,
    ReportedOutcome,
    Retrieval,
    Revision,
    Road,
    Sort,
    Statistics,
    Suggestion,
    TrajectoryFilter,
    TrajectoryState,
    Vectors,
    Week,
    Write,
)
from flex_mcp.models.briefs import Turn

if TYPE_CHECKING:
    from flex_mcp.models.forgetting import (  # late: few processes forget
        Affected,
        Cleaned,
        Held,
        Kind,
    )

EPOCH = "epoch"  # the setting that changes when another content takes the place of all there was
OLDER_WORDS = "older_words"  # the setting that says which schema's index of words is still there
FORGETTING = "forgetting"  # the setting that says that the file is not clean yet
BACKUPS = "backups"  # the setting that says where backups went, as JSON


Completable = Literal["experience_ids", "trajectory_ids", "ids", "domains", "projects"]


class Scored(NamedTuple):
    """One row of a candidate list: cosine for `nearest`, BM25 (higher is better) for `matching`."""

    id: str
    score: float


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a text as full-text search sees it; `documents` is how many experiences hold it."""

    word: str
    stem: str
    documents: int


@dataclass(frozen=True, slots=True)
class IndexedText:
    """What finds an experience by its words, made by `search.text` before the transaction.

    `columns` is the text by column of the words' index, expanded; `tokens` its learned tokens, as
    `token_match.Tokens.kept` gives them, of the vocabulary `version`.
    """

    columns: Mapping[str, str]
    tokens: bytes
    version: str


class Claim(NamedTuple):
    """An open brief has claimed this trajectory, until its end."""

    trajectory_id: str
    brief_id: str
    road: Road
    until: datetime


@dataclass(frozen=True, slots=True)
class EntryPart:
    """One part of a FLEX ENTRY: `identity` hashes its original, whatever became of it since."""

    kind: str
    identity: str
    experience_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A FLEX ENTRY as imported (`json` verbatim) and the experiences made of it, in order."""

    identity: str
    zone: str
    json: str
    parts: tuple[EntryPart, ...]


class Settings(Protocol):
    """Small values kept with the library, such as the background of the embedder."""

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, value: str) -> None: ...


class Experiences(Protocol):
    """Experiences, with their evidence and their places in both indexes."""

    def get(self, ids: Sequence[str]) -> list[Experience]:
        """Those of the ids that exist, in that order."""
        ...

    def ids(
        self,
        wanted: ExperienceFilter,
        *,
        sort: Sort = Sort.NEWEST,
        reverse: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Those wanted, in that order or its reverse; `after` begins behind one of them.

        Of those that are equal in it, the one that came in last is first, or in reverse last.
        """
        ...

    def count(self, wanted: ExperienceFilter) -> int: ...

    def newest(self, after: Place | None, limit: int, projects: Projects = None) -> list[str]:
        """The active experiences after a place in the order of their time, newest first."""
        ...

    def approved(self, projects: Projects = None) -> list[str]:
        """The active golden experiences whose text is still the one that was approved."""
        ...

    def evidenced_by(self, trajectory_ids: Sequence[str]) -> list[str]:
        """The experiences that any of these trajectories is evidence for."""
        ...

    def identical(self, fingerprint: str) -> list[str]:
        """The experiences whose text has this fingerprint, those in service first."""
        ...

    def put(
        self, value: Experience, vectors: Sequence[bytes] | None, text: IndexedText | None
    ) -> None:
        """Add or replace an experience, its evidence and its place in both indexes.

        `vectors` are unit float32 vectors, one a chunk; None keeps the ones that it has. So does
        None for `text`, unless the experience becomes active: what is not leaves the words' index.
        """
        ...


class Domains(Protocol):
    """The paths under which experiences and trajectories stand."""

    def counts(self, wanted: Filter) -> list[DomainCount]:
        """Every path that something has, in the order of a tree: what lies below one follows it.

        Zones and levels are looked at where an experience is counted.
        """
        ...

    def most_used(self, wanted: Filter, limit: int) -> list[str]:
        """The paths of active experiences, those of the most first."""
        ...

    def experiences(self, domains: Iterable[str]) -> list[str]:
        """The experiences of exactly these paths, whatever their status."""
        ...

    def move_trajectories(self, paths: Mapping[str, str]) -> None:
        """Give the trajectories of exactly these paths the ones that belong to them."""
        ...


class Suggestions(Protocol):
    """What is worth a look: pairs that were found, and what was dismissed."""

    def all(
        self, wanted: Filter, *, before: datetime, searches: int, often: int
    ) -> list[Suggestion]:
        """Those not dismissed while their texts were these, the newest experiences first.

        Never served is what was there `before`, and as the last `searches` searches came; served
        and never helpful counts from `often` on.
        """
        ...

    def uncompared(self, limit: int) -> list[str]:
        """Active experiences that came or changed since they were compared, oldest first."""
        ...

    def count_uncompared(self) -> int: ...

    def put_pairs(self, seen: Experience, relations: Mapping[str, Relation]) -> None:
        """Keep what an experience is to others, in the place of what it was; unless it changed."""
        ...

    def dismiss(self, suggestion: Suggestion) -> None:
        """Suggest it no more while its texts stay as they are."""
        ...

    def take_up(self, suggestion: Suggestion) -> None:
        """Take a dismissal back."""
        ...


class ProjectNames(Protocol):
    """The projects that experiences and trajectories are of."""

    def counts(self) -> list[ProjectCount]:
        """Every project that something is of, by name; what is general comes first."""
        ...

    def experiences(self, project: str) -> list[str]:
        """The experiences of this project, whatever their status."""
        ...

    def keys(self, project: str) -> list[tuple[str, str, str]]:
        """The id, key and content hash of each trajectory of this project."""
        ...

    def move_trajectories(self, old: str, new: str, keys: Mapping[str, str]) -> None:
        """Give the trajectories of a project to another, by id with a key that nobody has."""
        ...


class History(Protocol):
    """The revisions of experiences."""

    def of(self, experience_id: str) -> list[Revision]:
        """Those of one, oldest first."""
        ...

    def last(self, limit: int, projects: Projects = None) -> list[Revision]:
        """Newest first, of experiences of these projects."""
        ...

    def since(self, number: int, limit: int) -> list[Revision]:
        """The revisions after that number, oldest first."""
        ...

    def number(self) -> int:
        """The number of the last revision; 0 where there is none."""
        ...

    def merged_with(self, value: Revision) -> Revision | None:
        """The other one that a merge of two experiences made together with this one."""
        ...

    def add(self, value: Revision) -> None: ...

    def drop(self, experience_id: str, before: int) -> None:
        """Delete the revisions of an experience before one of them."""
        ...


class Trajectories(Protocol):
    """What was recorded."""

    def get(self, ids: Sequence[str]) -> list[RecordedTrajectory]:
        """Those of the ids that exist, in that order."""
        ...

    def ids(self, projects: Projects = None) -> list[str]:
        """Oldest first."""
        ...

    def listed(
        self, wanted: TrajectoryFilter, *, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Those wanted, newest first; `after` begins behind one of them."""
        ...

    def count(self, wanted: TrajectoryFilter) -> int: ...

    def by_key(self, key: str) -> tuple[str, str] | None:
        """Id and content hash of the trajectory with this key."""
        ...

    def pending(
        self,
        now: datetime,
        *,
        limit: int | None = None,
        like: str | None = None,
        skip: Iterable[str] = (),
        projects: Projects = None,
    ) -> list[str]:
        """Ids of the pending trajectories that no brief claims at this time, oldest first.

        `like` keeps those of the same task as that trajectory.
        """
        ...

    def count_pending(self, now: datetime, projects: Projects = None) -> int:
        """How many are pending and not claimed by a brief at this time."""
        ...

    def independent(self, ids: Sequence[str]) -> int:
        """How many of them are independent: of different tasks, or by different agents."""
        ...

    def add(self, value: RecordedTrajectory, content_hash: str) -> None: ...

    def link(self, trajectory_id: str, retrieval_ids: Sequence[str]) -> None:
        """Say which searches a trajectory worked with."""
        ...

    def set_state(self, ids: Sequence[str], state: TrajectoryState) -> None: ...

    def replace(self, value: RecordedTrajectory, content_hash: str) -> None:
        """Put other content in the place of that of the same id; what was there is kept aside.

        Its state, its searches and the time of its first record stay.
        """
        ...

    def set_outcome(self, value: ReportedOutcome) -> None:
        """Put another outcome, with all that belongs to it, in the place of the present one."""
        ...


class Outcomes(Protocol):
    """How work ended, as often as somebody said so; the last one of each counts."""

    def of(self, id_: str) -> list[ReportedOutcome]:
        """Those of a trajectory or retrieval, oldest first.

        Of a trajectory whose outcome never changed there is none here: it has its own.
        """
        ...

    def all(self) -> list[ReportedOutcome]:
        """Oldest first."""
        ...

    def add(self, value: ReportedOutcome) -> None: ...


class Briefs(Protocol):
    """The questions about trajectories, each of which claims its own until it ends."""

    def get(self, brief_id: str) -> Brief | None: ...

    def claims(self, now: datetime, ids: Sequence[str] | None = None) -> list[Claim]:
        """Which of the trajectories are claimed at this time; without ids, of all pending ones."""
        ...

    def add(self, value: Brief) -> None: ...

    def extend(self, brief_id: str, expires_at: datetime) -> None:
        """Move the end of an open brief's claim."""
        ...

    def close(self, brief_id: str, answer_hash: str, decisions: Sequence[Decision]) -> None: ...


class Conversations(Protocol):
    """What was asked and answered about a brief."""

    def turns(self, brief_id: str) -> list[Turn]:
        """What was said so far about an open brief, in order; nothing once it has ended."""
        ...

    def cost(self, brief_id: str) -> tuple[int | None, str | None]:
        """The tokens of a brief, read and written together, and the model that spoke last.

        None where nobody counted, and where no model was asked.
        """
        ...

    def batches(self, now: datetime) -> dict[str, list[str]]:
        """The message batches under way, each with the briefs whose questions it carries."""
        ...

    def put(self, value: Turn) -> None:
        """Keep a turn; the first question in its place stays, and so does the first reply."""
        ...

    def clear(self, brief_id: str) -> None:
        """Forget what was said about a brief, not what it cost."""
        ...


class Retrievals(Protocol):
    """Searches, what they served, and what came of it."""

    def get(self, retrieval_id: str) -> Retrieval | None: ...

    def ids(self) -> list[str]:
        """In the order of their time."""
        ...

    def add(self, value: Retrieval) -> None:
        """Log a search and count its hits as served."""
        ...

    def restore(self, value: Retrieval, known: Collection[str] = ()) -> None:
        """Bring in one from elsewhere with its credits.

        They count for those of its hits that were `known` here before; the others bring counters.
        """
        ...

    def set_outcome(
        self,
        retrieval_id: str,
        outcome: Outcome,
        counted: Mapping[str, int],
        named: Mapping[str, int],
    ) -> list[Counters]:
        """Set a retrieval's outcome; `counted` says 1, 0 or -1 for what it served.

        `named` says the same of what was named. What an earlier outcome counted is taken back.
        Returns the counters of all it served.
        """
        ...


class Imports(Protocol):
    """FLEX entries as they came."""

    def entries(self) -> list[Entry]:
        """In the order of their import."""
        ...

    def made_of(self, identity: str) -> str | None:
        """The experience that was made of this original part."""
        ...

    def add(self, entry: Entry) -> None:
        """Keep an entry, unless one with its identity is here already."""
        ...


class Words(Protocol):
    """The words' index: every active experience by the words of its text."""

    def matching(self, words: Sequence[str], *, depth: int, wanted: Filter) -> list[Scored]:
        """The `depth` active experiences that match any word best, by BM25."""
        ...

    def terms(self, text: str) -> list[Term]:
        """The distinct terms of an expanded text in order, split and stemmed as the index does."""
        ...

    def stems(self, text: str) -> frozenset[str]:
        """The stems of an expanded text's words, as in `terms`."""
        ...

    def tokens(self, ids: Sequence[str], version: str) -> dict[str, bytes]:
        """The learned tokens of these experiences' texts, where they are kept of this version."""
        ...

    def count(self) -> int:
        """How many experiences are in it, which are all that are active."""
        ...

    def merge(self) -> None:
        """Make searching fast again after many writes, a little at a time; for quiet moments."""
        ...


class VectorIndex(Protocol):
    """The vectors of all experiences, one a chunk."""

    def made_by(self) -> Vectors | None:
        """Which embedder made the vectors; None while there are none."""
        ...

    def use(self, vectors: Vectors) -> None:
        """Name the embedder of a library that has no vectors yet."""
        ...

    def nearest(self, vector: bytes, *, depth: int, wanted: Filter) -> list[Scored]:
        """The `depth` active experiences nearest to a unit float32 vector, by cosine.

        An experience in several chunks counts with its best one.
        """
        ...

    def of(self, ids: Sequence[str]) -> dict[str, list[bytes]]:
        """The float32 vectors of these experiences."""
        ...


class Reindexing(Protocol):
    """New vectors, put aside until all are there."""

    def begin(self, vectors: Vectors) -> None:
        """Start or resume putting new vectors aside; those for another target are dropped."""
        ...

    def missing(self, limit: int, after: str | None = None) -> list[Experience]:
        """Experiences whose text has no vector put aside yet; those after one of them.

        A walk through a library that asks for what follows the last one looks at each once.
        """
        ...

    def count_missing(self) -> int:
        """How many those are."""
        ...

    def put(
        self,
        vectors: Vectors,
        embedded: Sequence[tuple[Experience, Sequence[bytes], IndexedText]],
    ) -> None:
        """Put new vectors aside for a later switch; of those unchanged, words find anew at once.

        Raises:
            InputError: another process began putting aside for another target.
        """
        ...

    def switch(self, vectors: Vectors) -> None:
        """Put the new vectors in the place of the old ones."""
        ...


class Forgetting(Protocol):
    """Every text that is held, what is tied to what, and deleting it."""

    def texts(self, kind: "Kind") -> "Iterator[Held]":
        """All texts of a kind, decoded, with whom they belong to."""
        ...

    def naming(self, kind: "Kind", ids: Collection[str]) -> set[str]:
        """Whose texts of a kind name one of these ids."""
        ...

    def linked(self, kind: "Kind", ids: Collection[str]) -> set[str]:
        """What of a kind is tied to these trajectories, and an entry to these experiences.

        Retrievals that they worked with or that asked in the words of their task, briefs about
        them, experiences that were edited by the call that wrote a lesson of theirs.
        """
        ...

    def forget(self, affected: "Affected") -> None:
        """Delete all that goes and mark the file as not yet clean, which `finish` makes it."""
        ...


class Log(Protocol):
    """Who wrote what, in this and earlier transactions."""

    def sign(self, verb: str, client: str) -> None:
        """Log what was touched since the last signature; the end signs for the rest."""
        ...

    def last(
        self, limit: int, about: str | None = None, without: Collection[str] = ()
    ) -> list[Write]:
        """Who wrote last, newest first; `about` keeps those that name an id.

        Those whose verb is one of `without` are left out.
        """
        ...

    def unnamed(self, limit: int, about: str) -> list[Write]:
        """Those that touched more than they name, and so may have touched this id unsaid."""
        ...

    def knows(self, id_: str) -> bool:
        """Whether it is the id of an experience, trajectory, retrieval or brief."""
        ...

    def names(self, ids: Collection[str], projects: Projects = None) -> dict[str, str]:
        """The title of an experience, the task of a trajectory, the query of a retrieval."""
        ...


class Transaction(Protocol):
    """All that a library holds, by noun, at one moment."""

    settings: Settings
    experiences: Experiences
    domains: Domains
    suggestions: Suggestions
    projects: ProjectNames
    history: History
    trajectories: Trajectories
    outcomes: Outcomes
    briefs: Briefs
    conversations: Conversations
    retrievals: Retrievals
    imports: Imports
    words: Words
    vectors: VectorIndex
    reindexing: Reindexing
    forgetting: Forgetting
    log: Log

    def statistics(self, projects: Projects = None) -> Statistics: ...

    def weeks(self, first: date, count: int, projects: Projects = None) -> list[Week]:
        """So many weeks from this Monday on, oldest first; searches are those of all projects."""
        ...

    def complete(
        self, what: Completable, start: str, limit: int, projects: Projects = None
    ) -> list[str]:
        """The first of what begins so, in order: of what is active; `ids` and `projects` of all."""
        ...


class Store(Protocol):
    """Where a library lives."""

    name: str
    read_only: bool

    def reading(self) -> AbstractContextManager[Transaction]:
        """One that sees one moment; writing in it is an error of the store's."""
        ...

    def writing(self, verb: str, client: str) -> AbstractContextManager[Transaction]:
        """A transaction, logged as this client's, who did this, unless it changes nothing."""
        ...

    def back_up(self, target: Path | None) -> Path:
        """Copy all of it, as it is now, to a new file, while others read and write.

        Raises:
            InputError: there is a file of that name.
        """
        ...

    def finish(self, seconds: float, say: Callable[[str], None]) -> "Cleaned":
        """Clean the file of what was forgotten, delete its automatic copies, and check it.

        Other programs are waited for so many seconds; `say` hears of it.
        """
        ...

    def close(self) -> None: ...
