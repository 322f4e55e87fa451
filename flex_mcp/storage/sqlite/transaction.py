"""One transaction on a library file, by noun: what it reads is of one moment."""

from collections.abc import Callable
from datetime import date

import apsw

from flex_mcp.models import Projects, Snapshot, Statistics, Week, new_id
from flex_mcp.storage.protocol import EPOCH, Completable, IndexedText, Transaction
from flex_mcp.storage.sqlite import search_index, statistics, weeks, words
from flex_mcp.storage.sqlite.briefs import Briefs
from flex_mcp.storage.sqlite.conversations import Conversations
from flex_mcp.storage.sqlite.domains import Domains
from flex_mcp.storage.sqlite.experiences import Experiences, renew_fingerprints
from flex_mcp.storage.sqlite.forgetting import Forgetting
from flex_mcp.storage.sqlite.history import History
from flex_mcp.storage.sqlite.imports import Imports
from flex_mcp.storage.sqlite.log import Log
from flex_mcp.storage.sqlite.outcomes import Outcomes
from flex_mcp.storage.sqlite.projects import ProjectNames
from flex_mcp.storage.sqlite.queries import Queries, projects_json
from flex_mcp.storage.sqlite.reindexing import Reindexing
from flex_mcp.storage.sqlite.retrievals import Retrievals
from flex_mcp.storage.sqlite.search_index import OwnChanges, SearchIndex, VectorIndex
from flex_mcp.storage.sqlite.settings import Settings
from flex_mcp.storage.sqlite.suggestions import Suggestions
from flex_mcp.storage.sqlite.trajectories import Trajectories
from flex_mcp.storage.sqlite.words import Words


class SqliteTransaction(Transaction):
    """See `storage.protocol.Transaction`.

    What is written and not yet committed the shared index must not know: `writes` keeps it apart.
    There are no triggers: they fail on vec0 under `trusted_schema=OFF`.
    """

    def __init__(
        self, connection: apsw.Connection, index: SearchIndex, *, writes: bool = False
    ) -> None:
        self._queries = queries = Queries(connection)
        self.settings = Settings(queries)
        self.experiences = Experiences(queries)
        self.domains = Domains(queries)
        self.suggestions = Suggestions(queries)
        self.projects = ProjectNames(queries)
        self.history = History(queries)
        self.trajectories = Trajectories(queries)
        self.outcomes = Outcomes(queries)
        self.briefs = Briefs(queries)
        self.conversations = Conversations(queries)
        self.retrievals = Retrievals(queries)
        self.imports = Imports(queries)
        self.words = Words(queries, index)
        self.vectors = VectorIndex(queries, OwnChanges(index) if writes else index)
        self.reindexing = Reindexing(queries)
        self.forgetting = Forgetting(queries)
        self.log = Log(queries)

    def statistics(self, projects: Projects = None) -> Statistics:
        return statistics.statistics(self._queries, projects)

    def weeks(self, first: date, count: int, projects: Projects = None) -> list[Week]:
        return weeks.weeks(self._queries, first, count, projects)

    def complete(
        self, what: Completable, start: str, limit: int, projects: Projects = None
    ) -> list[str]:
        values = {"start": start, "limit": limit, "projects": projects_json(projects)}
        return self._queries.column(f"complete_{what}", **values)

    def rebuild(self, indexed: Callable[[Snapshot], IndexedText]) -> None:
        """Make what is derived from the tables anew; of the vectors, what can be read is kept."""
        renew_fingerprints(self._queries.tuples)
        words.rebuild(self._queries, self.experiences.get, indexed)
        search_index.rebuild(self._queries.connection)
        self.settings.set(EPOCH, new_id("x"))
