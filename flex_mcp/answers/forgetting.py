"""What the command line says of forgetting: what would go, what went, and the proof."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flex_mcp.answers import Answer
from flex_mcp.forgotten import Cleaned, Proof, Stems
from flex_mcp.quoting import one_line

if TYPE_CHECKING:
    from flex_mcp.library.forgetting import Forgotten, Plan

LINE = 100  # characters of a task or title


def plan_answer(plan: "Plan", copies: Sequence[str] = ()) -> Answer:
    """What would go, and which automatic copies of the library with it."""
    stems = plan.stems
    if not stems:
        return Answer(_content(plan), "Nothing here fits: there is nothing to forget.")
    staying = stems.shared - stems.experiences
    lines = [
        f"To be forgotten: {_counts(stems)}.",
        *_titles(plan.tasks, stems.trajectories, "trajectory", "trajectories"),
        *_titles(
            [(id_, _marked(id_, title, stems)) for id_, title in plan.titles],
            stems.experiences | staying,
            "experience",
            "experiences",
        ),
    ]
    if stems.shared & stems.experiences:
        lines.append("What is marked shared has other evidence too: --keep-shared keeps it.")
    if copies:
        lines.append(f"The automatic copies of the library go too: {', '.join(copies)}.")
    return Answer(_content(plan) | {"copies": list(copies)}, "\n".join(lines))


def _marked(id_: str, title: str, stems: Stems) -> str:
    if id_ not in stems.shared:
        return title
    return f"{title} (shared{'' if id_ in stems.experiences else ', stays without its history'})"


def _titles(
    shown: Sequence[tuple[str, str]], ids: frozenset[str], one: str, many: str
) -> list[str]:
    lines = [f"- {id_}  {_short(text)}" for id_, text in shown]
    more = len(ids) - len(shown)
    return [
        *lines,
        *([f"- and {_counted(more, f'more {one}', f'more {many}')}"] if more > 0 else []),
    ]


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LINE else f"{line[: LINE - 1]}…"


def _counts(stems: Stems) -> str:
    counts = (
        (stems.trajectories, "trajectory", "trajectories"),
        (stems.experiences, "experience with its history", "experiences with their history"),
        (stems.retrievals, "search", "searches"),
        (stems.briefs, "brief", "briefs"),
        (stems.entries, "imported entry as it came", "imported entries as they came"),
        (stems.clients, "name of a client in the log", "names of clients in the log"),
        (
            stems.cleaned,
            "history of an experience that stays",
            "histories of experiences that stay",
        ),
    )
    listed = [_counted(len(ids), one, many) for ids, one, many in counts if ids]
    return ", ".join([*listed, *(["what a FLEX file held beside"] if stems.document else [])])


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _content(plan: "Plan") -> dict[str, Any]:
    stems = plan.stems
    fields = {field.name: getattr(stems, field.name) for field in dataclasses.fields(stems)}
    counts = {name: len(ids) for name, ids in fields.items() if name != "document"}
    return {
        "forgotten": counts | {"document": stems.document},
        "trajectories": [{"id": id_, "task": _short(task)} for id_, task in plan.tasks],
        "experiences": [
            {"id": id_, "title": _short(title), "shared": id_ in stems.shared}
            for id_, title in plan.titles
        ],
    }


def forgotten_answer(done: "Forgotten", shown: "Plan") -> Answer:
    """What went; `shown` is what was to go, with its titles."""
    stems, cleaned = done.plan.stems, done.cleaned
    content = _content(dataclasses.replace(shown, stems=stems)) | _cleaning(cleaned)
    went = f"Forgotten: {_counts(stems)}." if stems else "Nothing here fits: nothing was forgotten."
    return Answer(content, "\n".join([went, *_lines(cleaned)]))


def finished_answer(cleaned: Cleaned) -> Answer:
    idle = cleaned.proof is None and cleaned.unfinished is None
    lines = ["Nothing was left unfinished."] if idle else _lines(cleaned)
    return Answer(_cleaning(cleaned), "\n".join(lines))


def _cleaning(cleaned: Cleaned) -> dict[str, Any]:
    return {
        "done": cleaned.unfinished is None,
        "unfinished": cleaned.unfinished,
        "proof": None if cleaned.proof is None else dataclasses.asdict(cleaned.proof),
        "copies_deleted": list(cleaned.copies),
        "backups": list(cleaned.backups),
    }


def _lines(cleaned: Cleaned) -> list[str]:
    lines = [_proved(cleaned.proof)] if cleaned.proof else []
    if cleaned.proof and cleaned.proof.named:
        named = ", ".join(cleaned.proof.named)
        lines.append(
            f"What stays and quotes an id of it: {named}. Forget that too if it should go."
        )
    lines += [f"Deleted the automatic copy {one}." for one in cleaned.copies]
    lines += [f"A backup still holds it: {one}" for one in cleaned.backups]
    return [*lines, *(["The file is not clean yet."] if cleaned.unfinished else [])]


def _proved(proof: Proof) -> str:
    looked = (
        f"{_counted(proof.rows, 'row', 'rows')} of {proof.tables} tables decoded, "
        f"{_counted(proof.terms, 'word', 'words')} of the full-text index, "
        f"{proof.size:,} bytes of the file and its -wal"
    )
    if proof.found:
        return f"Looked at {looked}; still found: {'; '.join(proof.found)}."
    pieces = _counted(proof.pieces, "piece", "pieces")
    return f"Proved: nothing of it is left in {looked} ({pieces} looked for)."
