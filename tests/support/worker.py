"""A process of its own that works on a library: `python worker.py VERB PATH …`.

It says `ready` and waits for a line before it begins, then answers in lines of JSON; an id that it
prints was acknowledged by the library before.
"""

import json
import os
import random
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from flex_mcp import open_library
from flex_mcp.app import App
from flex_mcp.errors import FlexError
from flex_mcp.library.library import Library
from flex_mcp.maintenance.embedders import use
from flex_mcp.models import Action, ExperienceFilter, Lesson, Level, Outcome, Trajectory, Zone
from flex_mcp.models.forgetting import Choice
from flex_mcp.search.embedder import OurEmbedder
from flex_mcp.search.text import indexed_text
from flex_mcp.storage.sqlite import forgetting as sqlite_forgetting
from flex_mcp.storage.sqlite import purge as sqlite_cleaning
from flex_mcp.storage.sqlite import search_index
from flex_mcp.storage.sqlite.store import SqliteStore

NOBODY = 65534
WORDS = [
    "anchor",
    "basket",
    "candle",
    "desert",
    "engine",
    "feather",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "magnet",
    "needle",
    "orchard",
    "pencil",
    "quarry",
    "ribbon",
    "saddle",
    "tunnel",
    "umbrella",
    "violin",
    "walnut",
    "yogurt",
    "zebra",
    "button",
    "carpet",
    "dragon",
    "eagle",
    "forest",
    "goblet",
    "harbor",
    "insect",
    "jungle",
    "kitchen",
    "lantern",
    "mirror",
    "nephew",
    "oyster",
    "parrot",
    "rabbit",
    "shovel",
    "turtle",
    "valley",
    "window",
    "barrel",
    "cactus",
    "dolphin",
    "ember",
    "falcon",
    "glacier",
    "helmet",
]


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def words(name: str, number: int) -> str:
    """A dozen words; no two lessons share many of them."""
    return " ".join(random.Random(f"{name} {number}").sample(WORDS, 12))


def lesson(name: str, number: int) -> Lesson:
    return Lesson(
        zone=Zone.GOLDEN,
        level=Level.PATTERN,
        title=f"Lesson {name}x{number}",
        when="",
        lesson=words(name, number),
        examples=("a long example, told at length " * 100,),
        action=Action.ADD,
    )


def write(library: Library, name: str, number: int) -> None:
    """One trajectory with one lesson: tables, words and vectors in one transaction."""
    trajectory = Trajectory(
        task=f"Task {number} of {name}",
        outcome=Outcome.SUCCESS,
        transcript=f"{name} {number}: " + "what was done, step by step. " * 200,
    )
    recorded = library.record(trajectory, lessons=[lesson(name, number)])
    (decision,) = recorded.decisions
    say(
        trajectory=recorded.trajectory_id,
        experience=decision.experience_id,
        marker=f"{name}x{number}",
    )


def search(library: Library, text: str) -> None:
    try:
        found = library.search(text, abstain=False, collapse=False)
    except FlexError as error:
        say(search_error=str(error))
    else:
        ids = [hit.experience.id for hit in found.hits]
        say(hits=ids, retrieval_id=found.retrieval_id, notices=found.notices)


def churn(path: Path, name: str, rounds: str) -> None:
    """Record and search by turns."""
    with open_library(path) as library:
        for number in range(int(rounds)):
            write(library, name, number)
            search(library, words(name, number))


def write_forever(path: Path, name: str) -> None:
    with open_library(path) as library:
        number = 0
        while True:
            write(library, name, number)
            number += 1


def die_inside(path: Path) -> None:
    """Killed in a transaction that has written all its tables already."""
    store = SqliteStore(path)
    with store.writing("test", "test") as writing:
        vectors = OurEmbedder().passages(["another text"])[0]
        for experience in writing.experiences.get(writing.experiences.ids(ExperienceFilter())):
            changed = replace(experience, lesson="another text")
            writing.experiences.put(changed, vectors, indexed_text(changed))
        writing.settings.set("half", "written")
        os.kill(os.getpid(), signal.SIGKILL)


def go_over(path: Path, model: str, folder: str) -> None:
    """Go over to another embedder; after each batch it says so, and waits for a line."""

    def progress(done: int, total: int) -> None:
        say(done=done, total=total)
        sys.stdin.readline()

    app = App(library=str(path))
    try:
        use(app, model, folder or None, lambda sentence: say(told=sentence), progress)
        say(over=True)
    except FlexError as error:
        say(error=str(error))
    finally:
        app.close()


def hold(path: Path) -> None:
    """Have it open, and do nothing, until a line comes."""
    with open_library(path) as library:
        say(open=library.statistics().library_id)
        sys.stdin.readline()
        say(experiences=[one.id for one in library.experiences()])


def forget_and_die(path: Path, point: str, id_: str) -> None:
    """Forget, and be killed before one of its steps."""

    def dying(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    where: dict[str, Any] = {
        "forget": search_index,
        "mark_in": sqlite_forgetting,
        "_rewrite": sqlite_cleaning.Cleaning,
        "_fold": sqlite_cleaning.Cleaning,
        "check": sqlite_cleaning,
        "_unmark": sqlite_cleaning.Cleaning,
    }
    setattr(where[point], point, dying)
    with open_library(path) as library:
        library.forget(Choice(ids=(id_,)))


def search_again(path: Path, text: str) -> None:
    """Search, and once more after a line."""
    with open_library(path) as library:
        search(library, text)
        sys.stdin.readline()
        search(library, text)


def read_on(path: Path) -> None:
    """Read until a line comes."""
    with open_library(path) as library, library.reading() as reading:
        say(held=len(reading.trajectories.ids()))
        sys.stdin.readline()


def hold_lock(path: Path) -> None:
    """Hold the write lock until a line comes."""
    store = SqliteStore(path)
    with store.writing("test", "test"):
        say(held=True)
        sys.stdin.readline()
    store.close()


def open_it(path: Path) -> None:
    with open_library(path) as library:
        say(library_id=library.statistics().library_id)


def as_nobody(text: str) -> OurEmbedder:
    """Become a user who may not write, if we are the one who may; an embedder that is loaded."""
    embedder = OurEmbedder()
    if os.getuid() == 0:
        with tempfile.TemporaryDirectory() as folder, open_library(f"{folder}/x.db") as library:
            library.apply([lesson("warm-up", 0)])  # what is read late may lie where nobody may look
            library.search(text)
            library.backup()
        os.setuid(NOBODY)
    return embedder


def back_up(path: Path, target: str) -> None:
    """As a user who may not write the library."""
    embedder = as_nobody("x")
    with Library(SqliteStore(path), lambda _name, _fetch: embedder) as library:
        say(made=str(library.backup(target)))


def obey(path: Path, text: str) -> None:
    """As a user who may not write: search or record, as each line says."""
    embedder = as_nobody(text)
    with Library(SqliteStore(path), lambda _name, _fetch: embedder) as library:
        for number, line in enumerate(sys.stdin):
            if line == "search\n":
                search(library, text)
                continue
            try:
                made = library.record(Trajectory(task=f"Task {number}", outcome=Outcome.SUCCESS))
                say(trajectory=made.trajectory_id)
            except FlexError as error:
                say(error=str(error))


def idle(path: Path) -> None:
    """Have the library open, and search or record as each line says."""
    with open_library(path) as library:
        say(opened=True)
        for number, line in enumerate(sys.stdin):
            if line == "search\n":
                say(trajectories=library.statistics().trajectories)
            else:
                write(library, "idle", number)


def look_and_try(path: Path, text: str) -> None:
    """As a user who may not write: search, try to record, search again."""
    embedder = as_nobody(text)
    try:
        store = SqliteStore(path)
    except FlexError as error:
        say(open_error=type(error).__name__, sentence=str(error))
        return
    with Library(store, lambda _name, _fetch: embedder) as library:
        search(library, text)
        try:
            library.record(Trajectory(task="x", outcome=Outcome.SUCCESS))
        except FlexError as error:
            say(error=type(error).__name__, sentence=str(error))
        search(library, text)
        say(experiences=library.statistics().experiences)


def main() -> None:
    verb, path, *rest = sys.argv[1:]
    say(ready=True)
    sys.stdin.readline()
    work = {
        "churn": churn,
        "write-forever": write_forever,
        "die-inside": die_inside,
        "go-over": go_over,
        "forget-and-die": forget_and_die,
        "search-again": search_again,
        "read-on": read_on,
        "hold-lock": hold_lock,
        "obey": obey,
        "open": open_it,
        "hold": hold,
        "idle": idle,
        "back-up": back_up,
        "look-and-try": look_and_try,
    }
    work[verb](Path(path), *rest)


if __name__ == "__main__":
    main()
