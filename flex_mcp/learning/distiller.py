"""The distiller: trajectories in, lessons out, by whichever road there is (FLEX §3).

`critic` and `updater` are pure: they make the questions and check the answers. A model (`LLM`) is
asked turn by turn (`conversation`). Without one the question is a brief, which the assistant
answers through `save_lessons`.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from flex_mcp.errors import (
    AnswerError,
    DeclinedError,
    InputError,
    LibraryError,
    ModelError,
    StaleError,
)
from flex_mcp.learning import briefing, critic, updater
from flex_mcp.learning.briefing import Distillation, Question
from flex_mcp.learning.conversation import Conversation
from flex_mcp.learning.excerpts import SHORTEST, cut
from flex_mcp.learning.llm import LLM, STAY, ReplyPending
from flex_mcp.learning.prompts import Prompts
from flex_mcp.library.briefs import NewBrief
from flex_mcp.library.conversations import ConversationLog
from flex_mcp.library.library import Library
from flex_mcp.models import (
    Action,
    Brief,
    Decision,
    Experience,
    Lesson,
    Origin,
    Placement,
    Projects,
    RecordedTrajectory,
    Road,
    Wanted,
    new_id,
)
from flex_mcp.models.briefs import Prompt

NEIGHBOURS, DOMAINS = 8, 30  # experiences and domains that a question shows, at most
LOOKS = 5  # at what the library has, when it changes while the updater decides
ATTEMPTS = 20  # when other processes claim the same trajectories at the same time


Settled = tuple[Sequence[Decision], Sequence[Lesson]]  # on a brief; the lessons as they were placed


class Distiller:
    """Works on a library.

    Args:
        library: whose trajectories are distilled.
        prompts: what is asked.
        llm: this machine's own model; None where there is none.
        lending: whether the model that a caller lends may be asked.
    """

    def __init__(
        self, library: Library, prompts: Prompts, *, llm: LLM | None = None, lending: bool = True
    ) -> None:
        self._library = library
        self._prompts = prompts
        self._llm = llm
        self._lending = lending

    def distill(
        self,
        wanted: Wanted | None = None,
        *,
        client: str = "python",
        lent: LLM | None = None,
        dry_run: bool = False,
    ) -> Distillation:
        """Distil one group of trajectories: by our own model, by the one lent, or by a brief.

        Args:
            wanted: which trajectories; default: the oldest pending one and those of its task.
            client: who asks.
            lent: the caller's own model.
            dry_run: a model's lessons are decided on, and nothing changes.

        Raises:
            NotFoundError: a trajectory that is named is not here.
            InputError: all those named are distilled, or claimed by another brief.
            EmbedderError: the lessons could not be placed now.
            ModelError: no answer could be used; the trajectories stay pending.
            ReplyPending: the lent model's reply comes with a later run: see `resume`.
        """
        self._library.briefs.check_embedder()
        wanted = wanted or Wanted()
        llm = self._llm or (lent if self._lending else None)
        if llm is None:
            return self._brief(wanted, client)
        brief = self.open(wanted, llm, client=client)
        if brief is None:
            return self._idle(llm.road)
        try:
            return self.work(brief, llm, client=client, dry_run=dry_run)
        except DeclinedError as declined:
            return replace(self._brief(wanted, client), notice=str(declined))

    def resume(
        self, brief_id: str, llm: LLM, wanted: Wanted | None = None, *, client: str = "python"
    ) -> Distillation:
        """Go on with a brief whose reply has come; where that no longer fits, it ends as a brief.

        A brief that was settled gives its decisions again. Raises as `distill` does.
        """
        brief, turns = self._library.conversations.of(brief_id)
        if made := self._made(brief, llm):
            return made
        notice = "the question that this replies to is not open any more, so this begins anew"
        try:
            if brief is not None and brief.road is llm.road and turns:
                return self.work(brief, llm, client=client)
        except DeclinedError as declined:
            notice = str(declined)
        except InputError as error:
            brief, _ = self._library.conversations.of(brief_id)
            if made := self._made(brief, llm):  # at the same moment
                return made
            notice = f"the reply comes too late: {error}"
        try:
            return replace(self._brief(wanted or Wanted(), client), notice=notice)
        except InputError:  # those named were distilled meanwhile
            return replace(self._brief(Wanted(), client), notice=notice)

    def _made(self, brief: Brief | None, llm: LLM) -> Distillation | None:
        """What the lessons became, where the brief is settled by this road."""
        if brief is None or brief.road is not llm.road or brief.answer_hash is None:
            return None
        return self._distillation(brief, llm, (brief.decisions, ()))

    def open(self, wanted: Wanted, llm: LLM, *, client: str = "python") -> Brief | None:
        """A brief for a model, about trajectories of one task; None where none is free."""
        self._prompts.check("critic", "critic_question", "updater", "updater_question", "again")

        def ask(found: Sequence[RecordedTrajectory]) -> NewBrief:
            # those with the wisdom always, the frames where they are the user's
            frames = self._prompts.own("critic_question", "updater_question", "again")
            asked = "critic", critic.attention(found), "updater", *frames
            return NewBrief(
                id=new_id("b"),
                trajectory_ids=[one.id for one in found],
                road=llm.road,
                prompts=self._prompts.version(*asked),
                claim=llm.claim,
            )

        return self._opened(replace(wanted, alike=True), ask, client)

    def _opened(
        self,
        wanted: Wanted,
        ask: Callable[[Sequence[RecordedTrajectory]], NewBrief],
        client: str,
    ) -> Brief | None:
        """A brief about what is free, asked anew where others claim it first; None: nothing is."""
        for _ in range(ATTEMPTS):
            found = self._library.briefs.claimable(wanted)
            if not found:
                return None
            if brief := self._library.briefs.open(ask(found), client=client):
                return brief
        raise InputError("other processes take the same trajectories: call distill again")

    def work(self, brief: Brief, llm: LLM, *, client: str, dry_run: bool = False) -> Distillation:
        """Take a brief through critic and updater; given up, its trajectories are free at once."""
        log = self._library.conversations.by(client)
        try:
            with _claimed(log, brief, llm):
                settled = self._settled(brief, llm, client, dry_run=dry_run)
        except ReplyPending:
            raise
        except BaseException:
            with suppress(LibraryError):
                log.release(brief.id)
            raise
        if dry_run:
            log.release(brief.id)
        return self._distillation(brief, llm, settled)

    def _settled(self, brief: Brief, llm: LLM, client: str, *, dry_run: bool) -> Settled:
        """Ask the critic, then the updater; its answer is checked by placing the lessons."""
        log = self._library.conversations.by(client)
        conversation = Conversation(log, brief.id, llm, self._prompts)
        found = self._library.trajectories(brief.trajectory_ids)
        around = _around(found)

        def settled(placement: Placement) -> Settled:
            origin = Origin(
                kind="distilled",
                by=client,
                road=brief.road,
                model=conversation.model,
                prompts=brief.prompts,
                tokens=log.cost(brief.id)[0],
            )
            settle = self._library.briefs.settle
            return settle(brief.id, placement, origin=origin, dry_run=dry_run), placement.lessons

        lessons = conversation.answered(
            lambda: critic.question(
                self._prompts,
                found,
                llm.window,
                self._library.catalogue.most_used_domains(DOMAINS, around),
            ),
            lambda text, _: critic.lessons(
                text, [one.id for one in found], of_project=any(one.project for one in found)
            ),
        )
        lessons = lessons or ()

        def question() -> Prompt | None:
            nearest = [self._nearest(one, around) for one in lessons]
            return updater.question(self._prompts, lessons, nearest, llm.window)

        def placed(text: str, prompt: Prompt) -> Settled:
            return settled(updater.placement(text, lessons, prompt.shown))

        for look in range(1, LOOKS + 1):  # others work at the same time: it sees what they made
            with suppress(StaleError):
                if made := conversation.answered(question, placed, anew=look < LOOKS):
                    return made
                break
        try:  # there was nothing to compare with
            adding = tuple(replace(one, action=Action.ADD) for one in lessons)
            return settled(Placement(lessons=adding))
        except AnswerError as error:
            raise ModelError(f"its lessons cannot be placed ({error}); {STAY}") from error

    def _nearest(self, lesson: Lesson, projects: Projects) -> list[Experience]:
        text = f"{lesson.title}\n{lesson.when}\n{lesson.lesson}"
        return self._library.neighbours(
            [text],
            limit=updater.NEAREST,
            levels={lesson.level},
            zones={lesson.zone},
            projects=projects,
        )

    def _distillation(self, brief: Brief, llm: LLM, settled: Settled) -> Distillation:
        decisions, lessons = settled
        found = self._library.trajectories(brief.trajectory_ids)
        seen = critic.excerpts(self._prompts, found, llm.window)
        tokens, model = self._library.conversations.cost(brief.id)
        return Distillation(
            road=brief.road,
            brief_id=brief.id,
            trajectories=tuple(replace(one, task=cut(one.task, SHORTEST), text="") for one in seen),
            decisions=tuple(decisions),
            lessons=tuple(lessons),
            model=model,
            prompts=brief.prompts,
            tokens=tokens,
            remaining=self._library.briefs.remaining(),
        )

    def _idle(self, road: Road) -> Distillation:
        """Nothing is free; what open briefs claim is said."""
        claimed, until = self._library.briefs.in_work()
        notice = None
        if until is not None:
            at = f"{until:%Y-%m-%d %H:%M} UTC"
            notice = f"trajectories pending: {claimed}, all claimed by open briefs until {at}"
        return Distillation(road=road, notice=notice)

    def _brief(self, wanted: Wanted, client: str) -> Distillation:
        versions = briefing.versions(self._prompts)
        questions: dict[str, Question] = {}

        def ask(chosen: Sequence[RecordedTrajectory]) -> NewBrief:
            texts = [f"{one.task}\n{one.feedback or ''}" for one in chosen]
            around = _around(chosen)
            near = self._library.neighbours(texts, limit=NEIGHBOURS, projects=around)
            domains = self._library.catalogue.most_used_domains(DOMAINS, around)
            made = briefing.fitted(self._prompts, new_id("b"), chosen, near, domains)
            questions[made.brief_id] = made
            ids = [one.id for one in made.trajectories]
            return NewBrief(
                id=made.brief_id, trajectory_ids=ids, prompts=versions, rendered=made.text
            )

        brief = self._opened(wanted, ask, client)
        if brief is None:
            return self._idle(Road.ASSISTANT)
        question = questions[brief.id]
        return Distillation(
            road=Road.ASSISTANT,
            brief_id=brief.id,
            question=question,
            trajectories=question.trajectories,
            prompts=versions,
            remaining=self._library.briefs.remaining(),
        )


def _around(work: Sequence[RecordedTrajectory]) -> Projects:
    """The projects whose lessons may be shown beside some work."""
    return frozenset({None, *(one.project for one in work)})


@contextmanager
def _claimed(log: ConversationLog, brief: Brief, llm: LLM) -> Generator[None]:
    """Renew the claim while the work goes on: that of a process that died ends soon."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(llm.claim.total_seconds() / 3):
            with suppress(LibraryError):
                log.claim(brief.id, llm.claim)

    log.claim(brief.id, llm.claim)
    thread = threading.Thread(target=renew, name=f"claim {brief.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
