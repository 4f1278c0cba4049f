"""Audiences that speak of one another: none missing, none in a circle (docs/semantics.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rules.model import language
from rules.parse.audience import ParsedAudience
from rules.parse.problems import DefinitionProblem, name_hint
from rules.parse.values import AudienceReference, join


def check_references(
    audiences: Iterable[ParsedAudience], found_before: Iterable[DefinitionProblem] = ()
) -> Iterator[DefinitionProblem]:
    """References to audiences that aren't there, each with its place, and every circle with its chain.

    An audience that has a fault of its own (``found_before``) isn't missed: that fault is told already. Where
    it isn't known which audience a fault is in, none is.
    """
    faulty = {each.audience for each in found_before}
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
            if "" not in faulty:
                yield from _missing(each, known, gone.get(project, set()), faulty)
        yield from _circles(known)


def referrers(audiences: Iterable[language.Audience], wanted: str) -> list[str]:
    """The ids of the audiences whose rule speaks of ``wanted``, sorted."""
    return sorted(each.id for each in audiences if wanted in language.references(each.rule))


def _missing(
    each: ParsedAudience, known: Mapping[str, ParsedAudience], gone: set[str], faulty: set[str]
) -> Iterator[DefinitionProblem]:
    for reference in _references(each):
        wanted = reference.audience
        if wanted in known or wanted in faulty:
            continue
        what = "was deleted" if wanted in gone else "doesn't exist"
        message = f"{each.audience.id} -> {wanted}: audience '{wanted}' {what}"
        message += f" in project '{each.audience.project}'"
        others = known.keys() - {each.audience.id}
        hint = name_hint(wanted, others) if others else "this project has no other audience"
        yield _problem("reference", message, each, reference, hint)


@dataclass(slots=True)
class _Link:
    """An audience on the way from one to the next; ``reference`` leads to the next."""

    each: ParsedAudience
    left: Iterator[AudienceReference]
    reference: AudienceReference | None = None


def _circles(known: Mapping[str, ParsedAudience]) -> Iterator[DefinitionProblem]:
    """One problem for each circle that a walk in the order of the files closes; depth first, no recursion."""
    done: set[str] = set()
    for start in known:
        chain: list[_Link] = []
        enter: str | None = None if start in done else start
        while chain or enter is not None:
            if enter is not None:
                chain.append(_Link(known[enter], iter(_references(known[enter]))))
                enter = None
            link = chain[-1]
            link.reference = next(link.left, None)
            if link.reference is None:
                done.add(chain.pop().each.audience.id)
                continue
            wanted = link.reference.audience
            at = next((at for at, before in enumerate(chain) if before.each.audience.id == wanted), None)
            if at is not None:
                yield _circle(chain[at:])
            elif wanted in known and wanted not in done:
                enter = wanted


def _circle(links: list[_Link]) -> DefinitionProblem:
    ids = [link.each.audience.id for link in links]
    told = " -> ".join([*ids, ids[0]])
    # Told at the last place in a file: a published audience has none.
    link = next((link for link in reversed(links) if link.each.references), links[-1])
    assert link.reference is not None
    message = f"audiences speak of one another in a circle: {told}"
    return _problem("cycle", message, link.each, link.reference, "take one of these references out")


def _references(each: ParsedAudience) -> tuple[AudienceReference, ...]:
    """Where its rule speaks of others; of a published audience, whose text isn't at hand, without places."""
    if each.references:
        return each.references
    wanted = dict.fromkeys(language.references(each.audience.rule))
    return tuple(AudienceReference(audience, join(each.path, "rule"), each.id_at) for audience in wanted)


def _problem(
    code: str, message: str, each: ParsedAudience, reference: AudienceReference, hint: str
) -> DefinitionProblem:
    at = reference.at
    return DefinitionProblem(code, message, reference.path, each.file, at.line, at.column, hint)
