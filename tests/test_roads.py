"""The four roads are one: the same lessons and placements leave the same library."""

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from support.client import Era, answer, connected
from support.fakes import a_lesson, add, brief, one, record
from support.messages_api import Json, critic_and_updater, decision, lesson, messages_api

from flex_mcp import open_library
from flex_mcp.library.library import Library
from flex_mcp.models import Action

pytestmark = pytest.mark.anyio

Group = list[tuple[Json, Json]]  # lessons as a critic writes them, and what an updater decides
Drive = Callable[["Learner", Json, Group], Awaitable[str]]  # returns the road as the answer has it
NARROWED = "it holds more narrowly beside a new lesson"
PIN = lesson(
    "Pin the compiler version in the build image.",
    when="A build differs between two machines",
    examples=["gcc 12", "gcc 13"],
    domain="build/c",
    tags=["compiler"],
)
SOAK = lesson("Soak the beans overnight.", when="Dinner has beans", domain="kitchen")
LOCAL = lesson("Compare dates in local time.", when="Two dates meet", tags=["dates", "time"])
RETRY = lesson("Retry the upload three times.", when="An upload fails")
TOKEN = lesson("A token that expires breaks the release.", zone="warning", level="principle")
BOTH: Json = {
    "title": "Pin compiler and linker",
    "when": "A build differs between two machines or two days",
    "lesson": "Pin the versions of compiler and linker in the build image.",
    "examples": ["gcc 12", "ld 2.40"],
}
LINKER = lesson("Pin the linker.", when="At night", examples=["ld"], tags=["linker"])
LEARNING: list[Group] = [
    [(one, decision()) for one in (PIN, SOAK, LOCAL, RETRY, TOKEN)],
    [
        (LINKER, decision(action="merge", into=PIN["title"], reason="one thing", **BOTH)),
        (lesson("Beans want a night in water."), decision(action="discard", into=SOAK["title"])),
        (lesson("Sign the wheel.", zone="mixed", level="instance"), decision()),
        (lesson("Read the log first."), decision(reason="new", when="A job fails in CI")),
    ],
    [
        (
            lesson("Compare dates in UTC.", when="Two dates meet"),
            decision(action="supersede", into=LOCAL["title"], reason="it broke in October"),
        ),
        (
            lesson("Never retry a charge.", when="A payment fails"),
            decision(into=RETRY["title"], other_when="An upload fails, not a payment"),
        ),
        (
            lesson("Renew tokens early.", zone="warning", level="principle"),
            decision(action="discard", into=TOKEN["title"], reason="known"),
        ),
        (SOAK, decision()),
    ],
]
TOGETHER: list[Group] = [  # two lessons about one experience
    [(one, decision()) for one in (PIN, SOAK, RETRY)],
    [
        (LINKER, decision(action="merge", into=PIN["title"], **BOTH)),
        (lesson("Pin what compiles."), decision(action="discard", into=PIN["title"])),
        (lesson("Beans want a night in water."), decision(action="discard", into=SOAK["title"])),
        (
            lesson("Do not soak lentils."),
            decision(into=SOAK["title"], other_when="Dinner has beans, not lentils"),
        ),
    ],
]
QUERIES = [
    "Two machines give different builds: which compiler and linker were used?",
    "An upload to the package index fails now and then",
    "The release stopped with an expired token",
    "How do I compare two dates from different servers?",
    "Prune the roses",
]


def work(number: int) -> Json:
    verified = ["tests", "none", "user"][number % 3]
    task = f"{QUERIES[number]} (job {number})"
    return {"task": task, "outcome": "success", "verified_by": verified, "domain": "ci"}


def known(path: Path, title: str) -> str:
    """The id of an experience; asked behind the tools' back, so that it counts as no search."""
    with open_library(path) as library:
        return next(one.id for one in library.experiences() if one.title == title)


# The roads


@dataclass(frozen=True)
class Learner:
    """A client of a library."""

    client: Client
    path: Path

    async def call(self, tool: str, **arguments: Any) -> Json:
        return await answer(self.client, tool, **arguments)

    def placed(self, draft: Json, decided: Json) -> Json:
        """A lesson with its action, as an assistant gives it."""
        given = draft | {"action": decided["action"], "reason": decided.get("reason") or None}
        given |= {name: decided[name] for name in BOTH if decided.get(name)}
        del given["trajectory_ids"]
        into = {"into": known(self.path, decided["into"])} if decided["action"] != "add" else {}
        return given | into

    async def narrow(self, group: Group) -> None:
        for _, decided in group:
            if when := decided.get("other_when"):
                await self.call(
                    "curate_experience",
                    id=known(self.path, decided["into"]),
                    action="edit",
                    fields={"when": when},
                    reason=NARROWED,
                )


async def by_agent(learner: Learner, done: Json, group: Group) -> str:
    lessons = [learner.placed(*one) for one in group]
    made = await learner.call("record_trajectory", **done, lessons=lessons)
    assert made["state"] == "distilled"
    await learner.narrow(group)
    return "agent"


async def by_brief(learner: Learner, done: Json, group: Group) -> str:
    await learner.call("record_trajectory", **done)
    brief = await learner.call("distill")
    lessons = [learner.placed(*one) for one in group]
    await learner.call("save_lessons", brief_id=brief["brief_id"], lessons=lessons)
    await learner.narrow(group)
    return brief["road"]


async def by_model(learner: Learner, done: Json, group: Group) -> str:  # noqa: ARG001  it is asked
    await learner.call("record_trajectory", **done)
    return (await learner.call("distill"))["road"]


class Model:
    """A critic and an updater that go by the plan."""

    def __init__(self) -> None:
        self.group: Group = []
        self.answers = critic_and_updater(self.critic, self.updater)

    def critic(self, _: str) -> list[Json]:
        return [draft for draft, _ in self.group]

    def updater(self, question: str) -> list[Json]:
        ids = {
            title: id_ for id_, title in re.findall(r"^### (e_\w+): (.*)$", question, re.MULTILINE)
        }
        numbers = map(int, re.findall(r"^## Lesson (\d+) ", question, re.MULTILINE))
        decided = [self.group[number][1] | {"number": number} for number in numbers]
        return [one | {"into": one["into"] and ids[one["into"]]} for one in decided]

    async def lent(self, context: ClientRequestContext, params: Any) -> Any:  # noqa: ARG002
        """The same, as a client lends it."""
        question = "\n\n".join(message.content.text for message in params.messages)
        critic = params.system_prompt.startswith("You are the critic")
        said = {"lessons": self.critic("")} if critic else {"decisions": self.updater(question)}
        content = types.TextContent(type="text", text=json.dumps(said))
        return types.CreateMessageResult(role="assistant", content=content, model="lent")


ROADS: dict[str, Drive] = {
    "agent": by_agent,
    "anthropic": by_model,
    "sampling": by_model,
    "sampling, older": by_model,
    "assistant": by_brief,
}


async def learned(
    path: Path, road: str, plan: list[Group], monkeypatch: pytest.MonkeyPatch
) -> Json:
    """What a library holds that learned all groups by one road; each served the next one's work."""
    model, kind = Model(), road.split(",", maxsplit=1)[0]
    era: Era = "legacy" if road.endswith("older") else "auto"
    with ExitStack() as stack:
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        if road == "anthropic":
            api = stack.enter_context(messages_api(model.answers))
            monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
            monkeypatch.setenv("ANTHROPIC_API_KEY", "a key")
        lent = model.lent if kind == "sampling" else None
        async with connected(path, era, model=lent) as client:
            for number, group in enumerate(plan):
                found = await answer(client, "search_experience", query=QUERIES[number])
                done = work(number) | {"retrieval_ids": [found["retrieval_id"]]}
                model.group = group
                assert await ROADS[road](Learner(client, path), done, group) == kind
    with open_library(path) as library:
        assert {str(one.origin.road) for one in library.experiences()} == {kind}
        return dump(library)


# What a library holds

OWN = {"id", "origin", "actor", "at", "created_at", "updated_at", "recorded_at", "key", "block"}


def dump(library: Library) -> Json:
    """All that a library holds and finds, apart from ids, times, actor and origin."""
    experiences = library.experiences()[::-1]
    revisions = [one for each in experiences for one in library.history(each.id)]
    with library.reading() as reading:
        trajectories = reading.trajectories.get(reading.trajectories.ids())
        vectors = reading.vectors.of([one.id for one in experiences])
    names = {one.id: f"experience {number}" for number, one in enumerate(experiences)}
    names |= {one.id: f"trajectory {number}" for number, one in enumerate(trajectories)}
    counts = library.statistics()
    found = [library.search(query, limit=20, abstain=False) for query in QUERIES]
    held = {
        "experiences": [plain(one) for one in experiences],
        "revisions": [plain(one) for one in revisions],
        "order": [(one.experience_id, one.kind) for one in library.last_revisions(1_000)],
        "trajectories": [
            plain(one) | {"retrieval_ids": len(one.retrieval_ids)} for one in trajectories
        ],
        "counts": [counts.by_status, counts.by_zone, counts.by_level, counts.by_domain],
        "states": counts.by_state,
        "retrievals": counts.retrievals,
        "found": [
            [one.relevance, [(hit.experience.id, hit.fit) for hit in one.hits]] for one in found
        ],
        "vectors": {id_: [chunk.hex() for chunk in chunks] for id_, chunks in vectors.items()},
    }
    text = json.dumps(held, default=str)
    return json.loads(re.sub(r"[et]_[a-z2-7]{12}", lambda id_: names[id_[0]], text))


def plain(value: Any) -> Json:
    return {name: part for name, part in asdict(value).items() if name not in OWN}


ONCE = [*["add"] * 5, *["merge"] * 2, *["add"] * 3, "supersede", "add", *["merge"] * 2, "edit"]
TWICE = [*["add"] * 3, *["merge"] * 2, "add", "edit"]


@pytest.mark.parametrize(
    ("plan", "roads", "kinds"),
    [
        pytest.param(LEARNING, list(ROADS), ONCE, id="one lesson to an experience"),
        pytest.param(TOGETHER, ["agent", "anthropic"], TWICE, id="two to an experience"),
    ],
)
async def test_the_same_lessons_and_placements_leave_equal_libraries_by_every_road(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plan: list[Group],
    roads: list[str],
    kinds: list[str],
) -> None:
    made = {road: await learned(tmp_path / f"{road}.db", road, plan, monkeypatch) for road in roads}
    for road in roads:
        assert made[road] == made["agent"], road
    held = made["agent"]
    assert [kind for _, kind in held["order"]][::-1] == kinds
    assert held["states"] == {"distilled": len(plan)}
    assert sum(one["successes"] for one in held["experiences"]) > 0, "the work counted"


@pytest.mark.parametrize("action", [Action.MERGE, Action.SUPERSEDE])
def test_a_second_lesson_of_a_call_does_not_undo_the_merge_of_the_first(
    quick: Library, action: Action
) -> None:
    (old,) = add(quick, a_lesson("old"))
    merge = a_lesson("old and one", action=Action.MERGE, into=old, reason="why")
    other = a_lesson("old and two", action=action, into=old, reason="why")
    same = replace(other, action=Action.DISCARD)
    decisions = quick.briefs.answer(brief(quick, record(quick)), [merge, other, same])
    assert [str(each.decision) for each in decisions] == ["merge", "refused", "discard"]
    assert decisions[1].reason == (
        f"another lesson of this call was merged into {old}: "
        "merge one text that holds both, and discard the other"
    )
    assert one(quick, old).lesson == "old and one"
