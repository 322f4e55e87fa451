"""FLEX's library file: each ENTRY kept verbatim, its parts made experiences, and back again.

`method` becomes one pattern, each rule one principle with its examples, `revised_trajectory` one
instance. Source: github GenSI-THUAIR/FLEX, `ExpLib` version 2.0, and its published files.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from flex_mcp.errors import InputError, NotALibraryError
from flex_mcp.library.importing import NewEntry, NewPart
from flex_mcp.library.library import Library
from flex_mcp.models import (
    DOMAIN_LIMIT,
    TITLE_LIMIT,
    TRAJECTORY_LIMIT,
    Experience,
    Filter,
    Level,
    Snapshot,
    Status,
    Zone,
    clean_domain,
    fingerprint,
    utc_now,
)
from flex_mcp.storage.protocol import Entry

METHOD, RULE, TRAJECTORY = "method", "rule", "revised_trajectory"
WEIGHTS = {"golden": 1.0, "warning": 0.8, "mixed": 0.9}  # as the authors' files have them
WHEN_LIMIT = 500  # characters of `when`: a method may be one long line, and is the lesson anyway
RULES_LIMIT = 1_000  # in one ENTRY; each becomes an experience with a vector of its own
SENTENCE_END = re.compile(r"""(?<=[^\W\d_][.!?])\s|(?<=[)"'`][.!?])\s|\n""")  # not after "1."


def flex_entries(content: Mapping[str, Any], source: str) -> list[NewEntry]:
    """The entries of a FLEX library, ready to be taken in.

    Raises:
        InputError: an ENTRY is not shaped as FLEX's are; the sentence says which.
    """
    zones = content["library"]
    if not isinstance(zones, dict):
        raise InputError(f"{source}: `library` must hold the lists golden, warning and mixed")
    entries: list[NewEntry] = []
    seen: Counter[str] = Counter()
    for name, listed in cast("dict[str, Any]", zones).items():
        if name not in set(Zone):
            raise InputError(f"{source}: there is no zone {name!r}: golden, warning or mixed")
        if not isinstance(listed, list):
            raise InputError(f"{source}: {name} must be a list of entries")
        for place, raw in enumerate(cast("list[Any]", listed)):
            where = f"{source}: entry {place} of {name}"
            try:
                entry = _entry(_object(raw, where), Zone(name), where)
            except RecursionError as error:
                raise InputError(f"{where} is nested too deep: nothing was imported") from error
            identity = f"{entry.identity}:{seen[entry.identity]}"  # a file may say a thing twice
            seen[entry.identity] += 1
            entries.append(replace(entry, identity=identity))
    return entries


def _object(raw: object, where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise InputError(f"{where} is no object: nothing was imported")
    return cast("dict[str, Any]", raw)


def _entry(entry: dict[str, Any], zone: Zone, where: str) -> NewEntry:
    parts: list[NewPart] = []
    for kind, original, snapshot in parts_of(entry, zone, where):
        text = json.dumps(original, sort_keys=True, ensure_ascii=False)
        parts.append(NewPart(kind, fingerprint(str(zone), kind, text), snapshot))
    identity = fingerprint(str(zone), *(part.identity for part in parts))
    return NewEntry(identity, str(zone), json.dumps(entry, ensure_ascii=False), tuple(parts))


def parts_of(
    entry: Mapping[str, Any], zone: Zone, where: str
) -> list[tuple[str, object, Snapshot]]:
    """The parts of an ENTRY in order: kind, original, and the experience that it becomes."""
    method, priority = _text(entry.get(METHOD), f"{where}, method"), entry.get("priority")
    category = _text(entry.get("problem_category"), f"{where}, problem_category").strip()
    first_line = next((line.strip() for line in method.splitlines() if line.strip()), "")
    shared = Snapshot(
        zone=zone,
        level=Level.PATTERN,
        title="",
        when=cut_at_word(": ".join(part for part in (category, first_line) if part), WHEN_LIMIT),
        lesson="",
        domain=clean_domain(category) if len(category) <= DOMAIN_LIMIT else None,
        priority=min(5, max(1, priority)) if isinstance(priority, int) else 3,
    )
    parts: list[tuple[str, object, Snapshot]] = []

    def add(
        kind: str, level: Level, original: object, text: str, examples: tuple[str, ...] = ()
    ) -> None:
        if text.strip():
            about = {"title": title_of(text), "lesson": text, "examples": examples}
            parts.append((kind, original, replace(shared, level=level, **about)))

    add(METHOD, Level.PATTERN, entry.get(METHOD), method)
    rules = _list(entry.get("rules"), f"{where}, rules")
    if len(rules) > RULES_LIMIT:
        raise InputError(
            f"{where} has {len(rules):,} rules; the limit is {RULES_LIMIT:,}: "
            "nothing was imported; make several entries of it"
        )
    for number, rule in enumerate(rules):
        add(RULE, Level.PRINCIPLE, rule, *_rule(rule, f"{where}, rule {number}"))
    trajectory = _text(entry.get(TRAJECTORY), f"{where}, revised_trajectory")
    add(TRAJECTORY, Level.INSTANCE, entry.get(TRAJECTORY), trajectory)
    return parts


def _rule(rule: object, where: str) -> tuple[str, tuple[str, ...]]:
    if isinstance(rule, str):
        return _text(rule, where), ()
    content = _object(rule, where)
    examples: object = content.get("examples")
    listed = [examples] if isinstance(examples, str) else _list(examples, f"{where}, examples")
    return _text(content.get("rule"), where), tuple(_text(one, where) for one in listed)


def _list(value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where} is no list: nothing was imported")
    return cast("list[Any]", value)


def _text(value: object, where: str) -> str:
    """A part as text: an object in its place (some files have one) as `Key: value` lines."""
    match value:
        case None:
            text = ""
        case str():
            text = value
        case dict():
            pairs = cast("dict[str, object]", value).items()
            named = ((key.replace("_", " ").strip().capitalize(), item) for key, item in pairs)
            text = "\n".join(f"{name}: {_text(item, where)}" for name, item in named)
        case list():
            text = "\n".join(_text(item, where) for item in cast("list[object]", value))
        case _:
            text = str(value)
    if len(text) > TRAJECTORY_LIMIT:
        raise InputError(f"{where} is longer than {TRAJECTORY_LIMIT:,} characters: shorten it")
    return text


def title_of(text: str) -> str:
    """A text's first sentence, cut at a word to 120 characters with an ellipsis."""
    sentence = " ".join(SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())
    return cut_at_word(sentence, TITLE_LIMIT)


def cut_at_word(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut else cut) + "…"


def export_flex(library: Library) -> str:
    """The active experiences as a FLEX library file.

    An ENTRY whose parts nobody changed comes out as it came in; an edited part with its new text;
    what is not active is left out; every other experience becomes an ENTRY of its own.
    """
    try:
        return _exported(library)
    except (ValueError, TypeError, LookupError, AttributeError, InputError) as error:
        raise NotALibraryError(  # no SQLite sees that an ENTRY is not as it came in
            f"{library.name} is damaged: export it as jsonl, which keeps what can be read, "
            "or restore a copy"
        ) from error


def _exported(library: Library) -> str:
    with library.reading() as reading:
        entries = reading.imports.entries()
        document: dict[str, Any] = json.loads(reading.settings.get("flex_document") or "{}")
        ids = reading.experiences.ids(Filter(), statuses=[Status.ACTIVE])
        active = {one.id: one for one in reading.experiences.get(list(reversed(ids)))}
    zones: dict[str, list[dict[str, Any]]] = {str(zone): [] for zone in Zone}
    own = dict(active)
    for entry in entries:
        if rebuilt := _rebuilt(entry, active):
            zones[entry.zone].append(rebuilt)
        for part in entry.parts:
            own.pop(part.experience_id, None)
    for experience in own.values():
        zones[str(experience.zone)].append(_own_entry(experience))
    content = {
        "version": "2.0",
        "created_at": utc_now().isoformat(),
        "library": zones,
        "config": {"retrieval_weights": WEIGHTS},
    } | document
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _rebuilt(entry: Entry, active: Mapping[str, Experience]) -> dict[str, Any] | None:
    content: dict[str, Any] = json.loads(entry.json)
    originals = parts_of(content, Zone(entry.zone), "entry")
    rules: list[object] = []
    changed = False
    for part, (kind, original, snapshot) in zip(entry.parts, originals, strict=True):
        now = active.get(part.experience_id)
        same = now and (now.lesson, now.examples) == (snapshot.lesson, snapshot.examples)
        changed = changed or not same
        if kind == RULE:
            rules += [original if same else _rule_entry(now)] if now else []
        elif now is None:
            del content[kind]
        elif not same:
            content[kind] = now.lesson
    if not changed:
        return content
    left = any(part.experience_id in active for part in entry.parts)
    return content | {"rules": rules} if left else None


def _rule_entry(experience: Snapshot) -> dict[str, Any]:
    return {"rule": experience.lesson, "examples": list(experience.examples)}


def _own_entry(experience: Experience) -> dict[str, Any]:
    level = experience.level
    return {
        "method": experience.lesson if level is Level.PATTERN else "",
        "rules": [_rule_entry(experience)] if level is Level.PRINCIPLE else [],
        "revised_trajectory": experience.lesson if level is Level.INSTANCE else "",
        "memory_type": str(experience.zone),
        "problem_category": experience.domain or "",
        "priority": experience.priority,
        "created_at": experience.created_at.isoformat(),
        "usage_count": experience.served,
        "last_used": None,
    }
