"""Does an agent that only remembers get better? Accuracy by experiences, and what an heir gains.

    python benchmarks/learning.py DIR... [--queries N] [--json FILE] [--svg FILE]
        [--embedder fastembed:MODEL --embedder-path FOLDER]

A DIR holds corpus.jsonl (the stream) and queries.jsonl (the test), both with id, text and label; a
query whose label the stream lacks is out of scope. The agent searches, lets the hits (ten at most)
vote for their label by their fit, is told the truth, and records the experience: the text as title
and lesson, the label in `domain` alone, as `intent/LABEL`, so that it is never embedded. No hit, no
answer: `nothing_relevant` counts as wrong. The stream goes round the labels, one experience of each
at a time, by a fixed seed. Along it the lessons go in by the Library's `apply`, without an action,
so that the library discards what it has; the last 100 come as from an assistant: over stdio, by
search_experience and record_trajectory, and so are all queries asked at the end.

The heir begins with the library that the first agent had after 30 experiences of each label,
exported and imported, the newcomer with none; both live on the rest of the stream. "best hit" is an
agent that takes the first hit's label and lets nothing vote: a weaker one.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from drawing import panels, save
from testbed import BATCH, add_embedder, goal, opened, pattern, print_table, rows, write
from wire import Server, ours, started

from flex_mcp.exchange.files import export_file, import_file
from flex_mcp.library.library import Library
from flex_mcp.models import DecisionKind, Lesson, Outcome, VerifiedBy, clean_domain

SIZES = 1, 3, 10, 30  # experiences of each label; the whole stream follows
OWN = 0, 1, 3, 10  # of the heir's and the newcomer's own
HITS = 10
TOLD = 100  # of the stream's last experiences, over stdio
GOALS: Mapping[str, Mapping[int | str, float]] = {
    "banking77": {10: 0.74, "all": 0.91},
    "clinc150": {10: 0.78, "all": 0.89},
}
FIRST, NEWCOMER, HEIR = "first", "newcomer", "heir"
LIBRARY, MCP = "Library", "MCP"
ABOUT = "agent", "a label", "experiences", "known", "door"
FIGURES = "accuracy", "best hit", "nothing_relevant", "oos silent"
PATH = "FLEX_MCP_EMBEDDER_PATH"

Votes = Sequence[tuple[str | None, float]]  # the hits' domains and fit, best first
Ask = Callable[[str], Votes]
Row = dict[str, Any]


class Stream(NamedTuple):
    """`rounds` hold one experience of each label that has one left; queries know their domain."""

    name: str
    rounds: Sequence[Sequence[Lesson]]
    queries: Sequence[tuple[str, str | None]]
    out_of_scope: Sequence[str]


def read(folder: Path, queries: int | None = None) -> Stream:
    """A stream, with all of its queries or so many of them."""
    chance = random.Random(0)
    labelled: defaultdict[str | None, list[Lesson]] = defaultdict(list)
    for document in rows(folder / "corpus.jsonl"):
        experience = lesson(document["text"], document["label"])
        labelled[experience.domain].append(experience)
    for experiences in labelled.values():
        chance.shuffle(experiences)
    rounds = [[one for one in turn if one] for turn in zip_longest(*labelled.values())]
    for turn in rounds:
        chance.shuffle(turn)
    every = [(row["text"], intent(row["label"])) for row in rows(folder / "queries.jsonl")]
    chance.shuffle(every)
    own = [(text, domain) for text, domain in every if domain in labelled]
    others = [text for text, domain in every if domain not in labelled]
    return Stream(folder.resolve().name, rounds, own[:queries], others[:queries])


def intent(label: str) -> str | None:
    return clean_domain(f"intent/{label}")


def lesson(text: str, label: str) -> Lesson:
    return pattern(text, intent(label))


def elected(votes: Votes) -> str | None:
    count: defaultdict[str | None, float] = defaultdict(float)
    for domain, fit in votes:
        count[domain] += fit
    return max(count, key=count.__getitem__, default=None)


def asked(library: Library, text: str) -> Votes:
    found = library.search(text, limit=HITS, client="benchmark")
    return [(hit.experience.domain, round(hit.fit, 3)) for hit in found.hits]  # as over stdio


class Assistant(NamedTuple):
    """The same agent as the client of a server."""

    server: Server

    def ask(self, text: str) -> Votes:
        return self._search(text)[1]

    def live(self, experience: Lesson) -> bool:
        """One experience: search, answer, hear the truth, record. True where it was known."""
        retrieval_id, votes = self._search(experience.lesson)
        answer, truth = elected(votes), experience.domain
        given = ("zone", "level", "title", "when", "lesson", "domain")
        recorded = {
            "task": experience.lesson,
            "outcome": Outcome.SUCCESS if answer == truth else Outcome.FAILURE,
            "answer": answer,
            "verified_by": VerifiedBy.GROUND_TRUTH,
            "retrieval_ids": [retrieval_id],
            "lessons": [{name: getattr(experience, name) for name in given}],
        }
        (decision,) = self._call("record_trajectory", recorded)["decisions"]
        return decision["decision"] == DecisionKind.DISCARD

    def _search(self, text: str) -> tuple[str, Votes]:
        found = self._call("search_experience", {"query": text, "limit": HITS})
        return found["retrieval_id"], [(hit["domain"], hit["fit"]) for hit in found["hits"]]

    def _call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.server.call(tool, arguments)["structuredContent"]


def measured(ask: Ask, stream: Stream) -> Row:
    answers = [(ask(text), truth) for text, truth in stream.queries]
    figures = {
        "accuracy": fmean(elected(votes) == truth for votes, truth in answers),
        "best hit": fmean(elected(votes[:1]) == truth for votes, truth in answers),
        "nothing_relevant": fmean(not votes for votes, _ in answers),
    }
    if stream.out_of_scope:
        figures["oos silent"] = fmean(not ask(text) for text in stream.out_of_scope)
    return figures


class Agent:
    """One that learns through the Library, and counts what that has already."""

    def __init__(self, name: str, stream: Stream, library: Library) -> None:
        self._about = {"set": stream.name, "agent": name}
        self._stream = stream
        self._library = library
        self.known = 0

    def learn(self, rounds: Iterable[Sequence[Lesson]]) -> None:
        experiences = list(chain(*rounds))
        for start in range(0, len(experiences), BATCH):
            decisions = self._library.apply(
                experiences[start : start + BATCH], typed=True, client="benchmark"
            )
            self.known += sum(one.decision is DecisionKind.DISCARD for one in decisions)

    def row(self, size: int | str, door: str = LIBRARY, ask: Ask | None = None) -> Row:
        """How it fares now; `ask` goes through another door."""
        if ask is None:
            self._library.calibrate()
        experiences = self._library.statistics().experiences
        about = {"a label": size, "experiences": experiences, "known": self.known, "door": door}
        return self._about | about | measured(ask or partial(asked, self._library), self._stream)


def first(stream: Stream, given: argparse.Namespace, bundle: Path) -> Iterator[Row]:
    """The first agent's life; the library that heirs get is left in `bundle`."""
    with opened(given) as library:
        agent, before = Agent(FIRST, stream, library), 0
        for size in sizes(stream):
            agent.learn(stream.rounds[before:size])
            before = size
            yield agent.row(size)
            if size == inherited(stream):
                export_file(library, bundle)
        rest = list(chain(*stream.rounds[before:]))
        agent.learn([rest[:-TOLD]])
        library.calibrate()  # as the server would, aside
        folder = {} if given.embedder_path is None else {PATH: str(given.embedder_path)}
        with started(ours(Path(library.name)), **folder) as server:
            server.initialize()
            assistant = Assistant(server)
            agent.known += sum(assistant.live(experience) for experience in rest[-TOLD:])
            yield agent.row("all", MCP, assistant.ask)
        yield agent.row("all")


def second(name: str, stream: Stream, given: argparse.Namespace, bundle: Path) -> Iterator[Row]:
    """A later agent's life, on what the first one had not met when the bundle was made."""
    rounds = stream.rounds[inherited(stream) :]
    with opened(given) as library:
        if name == HEIR:
            import_file(library, bundle)
        agent, before = Agent(name, stream, library), 0
        for own in OWN:
            if own <= len(rounds):
                agent.learn(rounds[before:own])
                before = own
                yield agent.row(own)


def sizes(stream: Stream) -> list[int]:
    return [size for size in SIZES if size < len(stream.rounds)]


def inherited(stream: Stream) -> int:
    """Experiences of each label that the heir gets from the first agent."""
    return max(size for size in SIZES if size <= len(stream.rounds) / 2)


def lives(folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    stream = read(folder, given.queries)
    with TemporaryDirectory(prefix="flex-mcp-") as temporary:
        bundle = Path(temporary) / "bundle.jsonl"
        yield from first(stream, given, bundle)
        for name in (NEWCOMER, HEIR):
            yield from second(name, stream, given, bundle)


def jumps(found: Sequence[Row]) -> Iterator[str]:
    """What heirs know before they have lived."""
    for row in found:
        if (row["agent"], row["a label"]) == (HEIR, 0):
            yield (
                f"{row['set']}: the heir begins at {100 * row['accuracy']:.1f} %, at "
                f"{100 * row['best hit']:.1f} % where the best hit alone counts; "
                "the newcomer at 0"
            )


def goals(found: Sequence[Row]) -> list[Row]:
    """The whole stream counts as an assistant has it, over stdio."""
    return [
        goal(f"{row['set']}, {row['a label']} experiences a label", at_least, row["accuracy"])
        for row in found
        if row["agent"] == FIRST and row["door"] == (MCP if row["a label"] == "all" else LIBRARY)
        if (at_least := GOALS.get(row["set"], {}).get(row["a label"]))
    ]


def draw(found: Sequence[Row], path: Path) -> None:
    """The first agents' accuracy by size; the heirs' beside the newcomers'."""
    figure, (left, right) = panels(2)
    for place, name in enumerate(dict.fromkeys(row["set"] for row in found)):
        for axes, agent, style in ((left, FIRST, "-"), (right, HEIR, "-"), (right, NEWCOMER, "--")):
            line = [row for row in found if (row["set"], row["agent"]) == (name, agent)]
            line = [row for row in line if row["door"] == LIBRARY]
            axes.plot(
                [str(row["a label"]) for row in line],
                [100 * row["accuracy"] for row in line],
                f"o{style}",
                color=f"C{place}",
                label=name if agent == FIRST else f"{name}, {agent}",
            )
    left.set(xlabel="experiences of each label", ylabel="accuracy, %", ylim=(0, 100))
    right.set(xlabel="own experiences of each label")
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("streams", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--queries", type=int, metavar="N", help="of each kind; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="needs the extra `benchmarks`")
    add_embedder(parser)
    given = parser.parse_args()
    found = [row for folder in given.streams for row in lives(folder, given)]
    print_table(
        ("%", *ABOUT, *FIGURES),
        [
            (
                row["set"],
                *(str(row[name]) for name in ABOUT),
                *(f"{100 * row[name]:.1f}" if name in row else "-" for name in FIGURES),
            )
            for row in found
        ],
    )
    for jump in jumps(found):
        print(jump)
    if given.svg is not None:
        draw(found, given.svg)
    write(given.json, {"rows": found, "goals": goals(found)})


if __name__ == "__main__":
    main()
