"""An explanation as JSON-able data, instants as RFC 3339."""

from __future__ import annotations

from collections.abc import Iterable

from rules.explain.explain import Explained
from rules.explain.facts import (
    AttributeFacts,
    BatchFacts,
    EventFacts,
    Facts,
    MembershipFacts,
    NotFollowedFacts,
    SequenceFacts,
)
from rules.predicates.paths import MISSING
from rules.time.instants import format_instant
from rules.write.audience import rule_document

Document = dict[str, object]


def explained_document(explained: Explained) -> Document:
    """``{kind, text, value, found, flips_at}`` of every node; composites have ``parts``, conditions ``rule``
    as the language writes it, ``facts``, and ``counts_from`` where their history is short; parts of a
    score ``points``."""
    document: Document = {
        "kind": explained.kind,
        "text": explained.text,
        "value": explained.value,
        "found": explained.found,
        "flips_at": _instant(explained.timer_ms),
    }
    if explained.counts_from_ms is not None:
        document["counts_from"] = _instant(explained.counts_from_ms)
    if explained.points is not None:
        document["points"] = explained.points
    if explained.parts:
        document["parts"] = [explained_document(each) for each in explained.parts]
    if not explained.parts:
        document["rule"] = rule_document(explained.rule)
    if explained.facts is not None:
        document["facts"] = _facts(explained.facts)
    return document


def _facts(facts: Facts) -> Document:
    match facts:
        case EventFacts():
            document: Document = {"events": _instants(facts.events_ms)}
            if facts.number is not None:
                document = {"number": facts.number, "or_more": facts.or_more, **document}
            if facts.left_out:
                document["events_left_out"] = facts.left_out
            if facts.values:
                document["values"] = list(facts.values)
            entered = facts.entered
            if entered is not None and entered.inside:
                document["entered_at"] = _instant(entered.since_ms)
            return document
        case SequenceFacts():
            steps = [{"at": format_instant(at), "may_be": list(numbers)} for at, numbers in facts.steps]
            document = {"completed_at": _instants(facts.ends_ms), "steps": steps}
            return {**document, "steps_left_out": facts.left_out} if facts.left_out else document
        case NotFollowedFacts():
            return {"events": _instants(facts.events_ms), "open": _instants(facts.open_ms)}
        case AttributeFacts():
            is_set = facts.value is not MISSING
            value = {"value": facts.value} if is_set else {}
            return {"set": is_set, **value, "changed_at": _instant(facts.changed_ms)}
        case BatchFacts():
            return {"computed_at": _instant(facts.decided_ms), "next_at": _instant(facts.next_ms)}
        case MembershipFacts():
            return {"member": facts.inside, "since": _instant(facts.since_ms)}


def _instants(instants: Iterable[int]) -> list[str]:
    return [format_instant(each) for each in instants]


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_instant(at_ms)
