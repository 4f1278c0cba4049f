"""Audiences that speak of one another: none missing, none in a circle (spec: rules.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rules import model
from rules.parse_audience import ParsedAudience
from rules.parse_reader import Reference, join
from rules.problems import Problem, name_hint


def check_references(audiences: Iterable[ParsedAudience]) -> Iterator[Problem]:
    """References to audiences that aren't there, each with its place, and every circle with its chain."""
    projects: dict[str, dict[str, ParsedAudience]] = {}
    gone: dict[str, set[str]] = {}
    for each in audiences:
        audience = each.audience
        if each.deleted:
            gone.setdefault(audience.project, set()).add(audience.id)
        else:
            projects.setdefault(audience.project, {}).setdefault(audience.id, each)
    for project, known in projects.items():
        for each in known.values():
            yield from _missing(each, known, gone.get(project, set()))
        yield from _circles(known)


def referrers(audiences: Iterable[model.Audience], wanted: str) -> list[str]:
    """The ids of the audiences whose rule speaks of ``wanted``, sorted."""
    return sorted(each.id for each in audiences if wanted in model.references(each.rule))


def _missing(each: ParsedAudience, known: Mapping[str, ParsedAudience], gone: set[str]) -> Iterator[Problem]:
    for reference in _references(each):
        wanted = reference.audience
        if wanted in known:
            continue
        what = "was deleted" if wanted in gone else "doesn't exist"
        message = f"{each.audience.id} -> {wanted}: audience '{wanted}' {what}"
        message += f" in project '{each.audience.project}'"
        others = known.keys() - {each.audience.id}
        hint = name_hint(wanted, others) if others else "this project has no other audience"
        yield _problem("reference", message, each, reference, hint)


def _circles(known: Mapping[str, ParsedAudience]) -> Iterator[Problem]:
    """One problem for each circle that a walk in the order of the files closes; depth first, no recursion."""
    done: set[str] = set()
    for start in known:
        chain: list[tuple[ParsedAudience, Iterator[Reference]]] = []
        on_chain: dict[str, int] = {}

        def enter(audience_id: str) -> None:
            each = known[audience_id]
            on_chain[audience_id] = len(chain)  # noqa: B023 - called before the next turn
            chain.append((each, iter(_references(each))))  # noqa: B023

        if start not in done:
            enter(start)
        while chain:
            each, left = chain[-1]
            reference = next(left, None)
            if reference is None:
                chain.pop()
                del on_chain[each.audience.id]
                done.add(each.audience.id)
            elif reference.audience in on_chain:
                ids = [link.audience.id for link, _ in chain[on_chain[reference.audience] :]]
                told = " -> ".join([*ids, reference.audience])
                message = f"audiences speak of one another in a circle: {told}"
                yield _problem("cycle", message, each, reference, "take one of these references out")
            elif reference.audience in known and reference.audience not in done:
                enter(reference.audience)


def _references(each: ParsedAudience) -> tuple[Reference, ...]:
    """Where its rule speaks of others; of a published audience, whose text isn't at hand, without places."""
    if each.references:
        return each.references
    wanted = dict.fromkeys(model.references(each.audience.rule))
    return tuple(Reference(audience, join(each.path, "rule"), each.id_at) for audience in wanted)


def _problem(code: str, message: str, each: ParsedAudience, reference: Reference, hint: str) -> Problem:
    at = reference.at
    return Problem(code, message, reference.path, each.file, at.line, at.column, hint)
