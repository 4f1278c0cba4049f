"""Published definitions beside one another: what is wrong with them only together, and rules from the rest.

``turnstile audiences apply`` checks all of this before it publishes. Another program may publish one by one,
without a check: what is wrong then is told, and stops nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agents.registry.unusable import Unusable, usable
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import RuleSet, compile_rules
from rules.parse.audience import ParsedAudience
from rules.parse.definitions import check_together
from rules.parse.document import Node

Fault = tuple[str, str]
"""Code of a warning and its text."""

SET_ASIDE = "definition_set_aside"
CONFLICT = "definition_conflict"


def as_parsed(published: PublishedAudience, file: str) -> ParsedAudience:
    """A published audience for the checks of ``rules.parse.definitions``; it has no line and column."""
    audience = published.audience
    at = Node(audience.id, 1, 1)
    if published.deleted:  # its name is free again, its key isn't: rows may still have members of it
        audience = replace(audience, name=f"\0deleted {audience.id}")
    return ParsedAudience(audience, file, "", at, at, deleted=published.deleted)


def compile_usable(
    published: Mapping[bytes, PublishedAudience], max_samples: int
) -> tuple[RuleSet, dict[bytes, Fault]]:
    """The rules of all definitions that can run beside one another, and what is wrong with the others.

    A function of what is published, in whatever order it came: all workers have the same rules.
    """
    in_order = dict(sorted(published.items(), key=lambda each: (each[1].created_ms, each[0])))
    faults = _conflicts(in_order)
    running = {key: each for key, each in in_order.items() if faults.get(key, ("",))[0] != SET_ASIDE}
    try:
        return usable(lambda: compile_rules(running.values(), max_samples)), faults
    except Unusable:
        for key, each in list(running.items()):
            try:
                usable(lambda each=each: compile_rules([each], max_samples))  # type: ignore[misc]
            except Unusable as reason:
                faults[key] = SET_ASIDE, f"it is not used, because it can't be compiled: {reason}"
                del running[key]
        return compile_rules(running.values(), max_samples), faults


def _conflicts(in_order: Mapping[bytes, PublishedAudience]) -> dict[bytes, Fault]:
    """Of two that don't go together the one that was published later is at fault."""
    faults: dict[bytes, Fault] = {}
    parsed = {key: as_parsed(each, key.decode()) for key, each in in_order.items()}
    found = True
    while found:  # a circle that is broken may have hidden another one
        found = False
        for problem in check_together(parsed.values()):
            key = problem.file.encode()
            if problem.code in ("key_taken", "cycle") and key in parsed:
                faults[key] = SET_ASIDE, f"it is not used: {problem.message}; {problem.hint}"
                del parsed[key]
                found = True
                break
            if problem.code == "duplicate":
                faults.setdefault(key, (CONFLICT, f"{problem.message}; {problem.hint}"))
    return faults
