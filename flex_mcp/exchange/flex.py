"""FLEX's library file: each ENTRY kept verbatim, its parts made experiences, and back again.

`method` becomes one pattern, each rule one principle with its examples, `revised_trajectory` one
instance. Source: github GenSI-THUAIR/FLEX, `ExpLib` version 2.0, and its published files.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from flex_mcp.errors import InputError, NotALibraryError
from flex_mcp.exchange import lenient_json
from flex_mcp.library.importing import NewEntry, NewPart
from flex_mcp.library.library import Library
from flex_mcp.models import (
    DOMAIN_LIMIT,
    TITLE_LIMIT,
    TRAJECTORY_LIMIT,
    Experience,
    ExperienceFilter,
    Level,
    Projects,
    Snapshot,
    Status,
    Zone,
    clean_domain,
    cut_at_word,
    fingerprint,
    utc_now,
)
from flex_mcp.storage.protocol import Entry
from flex_mcp.validation import glance

METHOD, RULE, TRAJECTORY = "method", "rule", "revised_trajectory"
RULES, EXAMPLES, CATEGORY, PRIORITY = "rules", "examples", "problem_category", "priority"
KEPT = ("memory_type", "created_at", "usage_count", "last_used")  # and used by FLEX alone
FIELDS = (METHOD, RULES, TRAJECTORY, CATEGORY, PRIORITY, *KEPT)
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
    parts = [
        NewPart(kind, _identity(str(zone), kind, original), snapshot)
        for kind, original, snapshot in parts_of(entry, zone, where)
    ]
    identity = fingerprint(str(zone), *(part.identity for part in parts))
    verbatim = json.dumps(entry, ensure_ascii=False)
    unused = tuple(_unused(entry, parts))
    return NewEntry(identity, str(zone), verbatim, tuple(parts), unused)


def _identity(zone: str, kind: str, original: object) -> str:
    text = json.dumps(original, sort_keys=True, ensure_ascii=False)
    return fingerprint(zone, kind, text)


def parts_of(
    entry: Mapping[str, Any], zone: Zone, where: str
) -> list[tuple[str, object, Snapshot]]:
    """The parts of an ENTRY in order: kind, original, and the experience that it becomes."""
    method = _text(_of(entry, METHOD), f"{where}, method")
    category = _text(_of(entry, CATEGORY), f"{where}, problem_category").strip()
    first_line = next((line.strip() for line in method.splitlines() if line.strip()), "")
    shared = Snapshot(
        zone=zone,
        level=Level.PATTERN,
        title="",
        when=cut_at_word(": ".join(part for part in (category, first_line) if part), WHEN_LIMIT),
        lesson="",
        domain=clean_domain(category) if len(category) <= DOMAIN_LIMIT else None,
        priority=_priority(_of(entry, PRIORITY)) or 3,
    )
    parts: list[tuple[str, object, Snapshot]] = []

    def add(
        kind: str, level: Level, original: object, text: str, examples: tuple[str, ...] = ()
    ) -> None:
        if text.strip():
            about = {"title": title_of(text), "lesson": text, "examples": examples}
            parts.append((kind, original, replace(shared, level=level, **about)))

    add(METHOD, Level.PATTERN, _of(entry, METHOD), method)
    rules = _list(_of(entry, RULES), f"{where}, rules")
    if len(rules) > RULES_LIMIT:
        raise InputError(
            f"{where} has {len(rules):,} rules; the limit is {RULES_LIMIT:,}: "
            "nothing was imported; make several entries of it"
        )
    for number, rule in enumerate(rules):
        add(RULE, Level.PRINCIPLE, rule, *_rule(rule, f"{where}, rule {number}"))
    trajectory = _text(_of(entry, TRAJECTORY), f"{where}, revised_trajectory")
    add(TRAJECTORY, Level.INSTANCE, _of(entry, TRAJECTORY), trajectory)
    return parts


def _rule(rule: object, where: str) -> tuple[str, tuple[str, ...]]:
    if isinstance(rule, str):
        return _text(rule, where), ()
    content = _object(rule, where)
    examples = _of(content, EXAMPLES)
    listed = [examples] if isinstance(examples, str) else _list(examples, f"{where}, examples")
    return _text(_said(content), where), tuple(_text(one, where) for one in listed)


def _key(content: Mapping[str, Any], name: str) -> str:
    """The key by which an object has what FLEX calls by that name; others write `Rule`."""
    same = (key for key in content if key.strip().casefold() == name)
    return name if name in content else next(same, name)


def _of(content: Mapping[str, Any], name: str) -> object:
    return content.get(_key(content, name))


def _said(rule: Mapping[str, Any]) -> object:
    """What a rule says: where nothing is called `rule`, its other texts do."""
    named = {key: rule[key] for key in _telling(rule)}
    return next(iter(named.values())) if len(named) == 1 else named


def _telling(rule: Mapping[str, Any]) -> list[str]:
    """The keys of a rule that hold what it says."""
    if not _is_empty(_of(rule, RULE)):
        return [_key(rule, RULE)]
    others = rule.keys() - {_key(rule, RULE), _key(rule, EXAMPLES)}
    texts = (key for key in rule if key in others and isinstance(rule[key], str | list | dict))
    return [key for key in texts if not _is_empty(rule[key])]


def _is_empty(value: object) -> bool:
    return value in (None, "", [], {})


def _priority(value: object) -> int | None:
    """A priority as others write it, `"4"` and 4.0 too; None: it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    with suppress(ValueError, OverflowError):
        number = float(value)
        return min(5, max(1, int(number))) if number.is_integer() else None
    return None


def _is_priority(value: object) -> bool:
    number = _priority(value)
    return number is not None and number == float(cast("Any", value))


def _unused(entry: Mapping[str, Any], made: Sequence[NewPart]) -> Iterator[str]:
    """What of an ENTRY is in none of its experiences; it comes out again with the ENTRY."""
    used = {_key(entry, name) for name in FIELDS}
    yield from (glance(key) for key in entry if key not in used)
    priority = _of(entry, PRIORITY)
    if priority is not None and not _is_priority(priority):
        yield f"priority {glance(repr(priority))}, which is no number from 1 to 5"
    rules = [rule for rule in cast("list[Any]", _of(entry, RULES) or []) if not _is_empty(rule)]
    for rule in (cast("dict[str, Any]", rule) for rule in rules if isinstance(rule, dict)):
        used = {*_telling(rule), _key(rule, RULE), _key(rule, EXAMPLES)}
        yield from (f"{glance(key)} of a rule" for key in rule if key not in used)
    yield from ["a rule that says nothing"] * (len(rules) - sum(p.kind == RULE for p in made))
    if not made:
        yield "an entry that says nothing"


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


def export_flex(library: Library, projects: Projects = None) -> str:
    """The active experiences as a FLEX library file.

    An ENTRY whose parts nobody changed comes out as it came in; an edited part with its new text;
    what is not active is left out; every other experience becomes an ENTRY of its own.
    """
    try:
        return _exported(library, projects)
    except (ValueError, TypeError, LookupError, AttributeError, InputError) as error:
        raise NotALibraryError(  # no SQLite sees that an ENTRY is not as it came in
            f"{library.name} is damaged: export it as jsonl, which keeps what can be read, "
            "or restore a copy"
        ) from error


def _exported(library: Library, projects: Projects) -> str:
    with library.reading() as reading:
        entries = reading.imports.entries()
        document: dict[str, Any] = lenient_json.read(reading.settings.get("flex_document") or "{}")[
            0
        ]
        wanted = ExperienceFilter(projects=projects, statuses=frozenset({Status.ACTIVE}))
        ids = reading.experiences.ids(wanted)
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
    content: dict[str, Any] = lenient_json.read(entry.json)[0]
    originals = parts_of(content, Zone(entry.zone), "entry")
    rules: list[object] = []
    changed = False
    ids = _made_of(entry, originals)
    for id_, (kind, original, snapshot) in zip(ids, originals, strict=True):
        if id_ is None:
            rules += [original] if kind == RULE else []
            continue
        now = active.get(id_)
        same = now and (now.lesson, now.examples) == (snapshot.lesson, snapshot.examples)
        changed = changed or not same
        if kind == RULE:
            rules += [original if same else _rule_entry(now)] if now else []
        elif now is None:
            del content[_key(content, kind)]
        elif not same:
            content[_key(content, kind)] = now.lesson
    if not changed:
        return content
    left = any(part.experience_id in active for part in entry.parts)
    return content | {_key(content, RULES): rules} if left else None


def _made_of(entry: Entry, originals: Sequence[tuple[str, object, Snapshot]]) -> list[str | None]:
    """The experiences of the parts; None for one that an earlier version did not see."""
    if len(originals) == len(entry.parts):
        return [part.experience_id for part in entry.parts]
    made = {part.identity: part.experience_id for part in entry.parts}
    return [made.get(_identity(entry.zone, kind, original)) for kind, original, _ in originals]


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
