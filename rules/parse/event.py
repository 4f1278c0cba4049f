"""Conditions on events: aggregates, sequences, followed by nothing (docs/semantics.md, section 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from rules.model import language
from rules.parse.aggregate import AGGREGATES, parse_aggregate
from rules.parse.document import Entry, Node
from rules.parse.predicate import NO_REFS, Scope, parse_where
from rules.parse.problems import meant
from rules.parse.values import Reader, join
from rules.parse.window import OF_NOT_FOLLOWED, OF_SEQUENCE, WINDOW_KEYS, parse_window

FIRST_EVENT: Final = "a"
"""What a follower's ``ref`` calls the event that it would follow."""

MIN_STEPS, MAX_STEPS = 2, 10

PATTERN_KEYS: Final = ("event", "where")
OF_FOLLOWED: Final = {
    "for": "it says how long not_followed_by has to hold",
    "still": "it says whether a follower that comes after 'for' undoes it, too",
}
"""Keys that need ``not_followed_by``, with what they say of it."""
EVENT_KEYS: Final = (*PATTERN_KEYS, *AGGREGATES, *WINDOW_KEYS, "not_followed_by", *OF_FOLLOWED)
NOT_FOLLOWED_KEYS: Final = (*PATTERN_KEYS, "not_followed_by", *OF_FOLLOWED, *OF_NOT_FOLLOWED.keys)
SEQUENCE_KEYS: Final = ("sequence", "without", "total", *OF_SEQUENCE.keys)
STEP_KEYS: Final = (*PATTERN_KEYS, "within", "as")


def parse_event(
    reader: Reader, node: Node, entries: Mapping[str, Entry], path: str
) -> language.EventCondition | language.NotFollowed | None:
    """A condition with the key ``event``."""
    if "not_followed_by" in entries:
        return _not_followed(reader, node, entries, path)
    reader.keys(entries, path, EVENT_KEYS)
    for key, hint in OF_FOLLOWED.items():
        if key in entries and reader.missing(entries, ("not_followed_by",), EVENT_KEYS):
            message = f"{key} needs not_followed_by"
            reader.problem("conflict", message, join(path, key), entries[key], hint)
    pattern = _pattern(reader, entries, path)
    window = parse_window(reader, entries, path)
    aggregate = parse_aggregate(reader, entries, path, window)
    if pattern is None or aggregate is None:
        return None
    return language.EventCondition(pattern.names, pattern.where, aggregate, window)


def parse_sequence(reader: Reader, entries: Mapping[str, Entry], path: str) -> language.Sequence | None:
    """A condition with the key ``sequence``."""
    _keys(reader, entries, path, SEQUENCE_KEYS, WINDOW_KEYS)
    steps = _steps(reader, entries["sequence"].node, join(path, "sequence"))
    without = None
    if "without" in entries:
        without = _inner(reader, entries["without"].node, join(path, "without"), "without")
    total_ms = None
    if "total" in entries:
        total_ms = reader.duration(entries["total"].node, join(path, "total"), "total")
    window = parse_window(reader, entries, path, OF_SEQUENCE)
    if steps is None or isinstance(window, language.BetweenAgo | language.SinceEntry):
        return None
    return language.Sequence(steps, without, total_ms, window)


def _not_followed(
    reader: Reader, node: Node, entries: Mapping[str, Entry], path: str
) -> language.NotFollowed | None:
    given = [key for key in entries if key in AGGREGATES]
    for key in given:
        hint = "write one condition for each, in all or any"
        message = f"not_followed_by can't have {key}"
        reader.problem("conflict", message, join(path, key), entries[key], hint)
    _keys(reader, entries, path, NOT_FOLLOWED_KEYS, (*given, *WINDOW_KEYS))
    event = _pattern(reader, entries, path)
    follower_at, inside = entries["not_followed_by"].node, join(path, "not_followed_by")
    follower = _inner(reader, follower_at, inside, "not_followed_by", Scope((FIRST_EVENT,)))
    for_ms = reader.required_duration(
        entries, "for", path, node, "not_followed_by", (*NOT_FOLLOWED_KEYS, *given)
    )
    still = "still" in entries and reader.flag(entries["still"].node, join(path, "still"), "still")
    window = parse_window(reader, entries, path, OF_NOT_FOLLOWED)
    if event is None or follower is None or for_ms is None:
        return None
    if isinstance(window, language.BetweenAgo | language.SinceEntry):
        return None
    if isinstance(window, language.Within) and window.length_ms <= for_ms:
        message = "an event counts only when for is over, and then within is, too: this can never be true"
        hint = "within must be longer than for"
        reader.problem("wrong_value", message, join(path, "within"), entries["within"], hint)
    return language.NotFollowed(event, follower, for_ms, window, still)


def _keys(
    reader: Reader, entries: Mapping[str, Entry], path: str, allowed: Iterable[str], told: Collection[str]
) -> None:
    """Notes keys that aren't allowed, less those that are ``told`` of elsewhere."""
    allowed = frozenset(allowed)
    rest = {key: entry for key, entry in entries.items() if key in allowed or key not in told}
    reader.keys(rest, path, allowed)


def _steps(reader: Reader, node: Node, path: str) -> tuple[language.SequenceStep, ...] | None:
    items = reader.items(node, path, "sequence")
    if items is None:
        return None
    if not MIN_STEPS <= len(items) <= MAX_STEPS:
        hint = "a single event is an event condition" if len(items) < MIN_STEPS else ""
        message = f"a sequence has {MIN_STEPS} to {MAX_STEPS} steps, not {len(items)}"
        reader.problem("wrong_value", message, path, node, hint)
    names = [_step_name(reader, item, join(path, at)) for at, item in enumerate(items)]
    unnamed = any(_may_have_a_name(item) for item, name in zip(items, names, strict=True) if name is None)
    steps: list[language.SequenceStep] = []
    for at, item in enumerate(items):
        earlier = tuple(name for name in names[:at] if name)
        later = tuple(name for name in names[at:] if name)
        name, inside = names[at], join(path, at)
        if name and name in earlier:
            message = f"two steps are named '{name}'"
            reader.problem("duplicate", message, join(inside, "as"), item)
        step = _step(reader, item, inside, at == 0, name, Scope(earlier, later, unnamed))
        steps.extend([] if step is None else [step])
    return tuple(steps)


def _step_name(reader: Reader, node: Node, path: str) -> str | None:
    if not isinstance(node.value, Mapping) or "as" not in node.value:
        return None
    return reader.name(node.value["as"].node, join(path, "as"), "as")


def _may_have_a_name(step: Node) -> bool:
    """Whether a step without a name has a key that was meant to give it one."""
    keys = step.value if isinstance(step.value, Mapping) else ()
    return "as" in keys or any(key not in STEP_KEYS and meant(key, STEP_KEYS) in ("as", None) for key in keys)


def _step(
    reader: Reader, node: Node, path: str, is_first: bool, name: str | None, scope: Scope
) -> language.SequenceStep | None:
    entries = reader.entries(node, path, "a step")
    if entries is None:
        return None
    reader.keys(entries, path, STEP_KEYS)
    event = _required_pattern(reader, node, entries, path, "a step", STEP_KEYS, scope)
    within_ms = None
    if "within" in entries:
        inside = join(path, "within")
        if is_first:
            hint = "no step comes before it; the sequence's window stands beside 'sequence'"
            reader.problem("conflict", "the first step can't have within", inside, entries["within"], hint)
        within_ms = reader.duration(entries["within"].node, inside, "within")
    return None if event is None else language.SequenceStep(event, within_ms, name)


def parse_pattern(reader: Reader, node: Node, path: str, what: str) -> language.EventPattern | None:
    """``{event: purchase, where: {…}}`` by itself; ``what`` it is, for messages."""
    return _inner(reader, node, path, what)


def _inner(
    reader: Reader, node: Node, path: str, what: str, scope: Scope = NO_REFS
) -> language.EventPattern | None:
    """``{event: refund, where: {…}}`` of ``without`` and ``not_followed_by``."""
    entries = reader.entries(node, path, what)
    if entries is None:
        return None
    reader.keys(entries, path, PATTERN_KEYS)
    return _required_pattern(reader, node, entries, path, what, PATTERN_KEYS, scope)


def _required_pattern(
    reader: Reader,
    node: Node,
    entries: Mapping[str, Entry],
    path: str,
    what: str,
    allowed: Iterable[str],
    scope: Scope,
) -> language.EventPattern | None:
    if "event" in entries:
        return _pattern(reader, entries, path, scope)
    if reader.missing(entries, ("event",), allowed):
        reader.problem("missing_key", f"{what} needs 'event'", path, node, "a name, a list of names, or '*'")
    return None


def _pattern(
    reader: Reader, entries: Mapping[str, Entry], path: str, scope: Scope = NO_REFS
) -> language.EventPattern | None:
    names = _names(reader, entries["event"].node, join(path, "event"))
    where = None
    if "where" in entries:
        where = parse_where(reader, entries["where"].node, join(path, "where"), scope)
    if names is None:
        return None
    return reader.placed(language.EventPattern(names, where), join(path, "event"), entries["event"].node)


def _names(reader: Reader, node: Node, path: str) -> tuple[str, ...] | None:
    """Sorted and unique names from a name or a list of them."""
    if not isinstance(node.value, tuple):
        name = reader.text(node, path, "event")
        return None if name is None else (name,)
    items = reader.items(node, path, "event") or ()
    names = {reader.text(item, join(path, at), "an event name") for at, item in enumerate(items)}
    if language.ANY_EVENT in names and len(names) > 1:
        reader.problem("conflict", "'*' means any event and stands alone", path, node)
    return tuple(sorted(name for name in names if name is not None)) or None
