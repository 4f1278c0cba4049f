"""All warnings of definitions, with their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rules.model import language
from rules.parse.audience import ParsedAudience
from rules.parse.problems import DefinitionProblem, sort_problems
from rules.warn.never import Found, never_and_always
from rules.warn.places import problem_at
from rules.warn.reach import Reach
from rules.warn.seen import LogNames, unseen
from rules.warn.suspicions import suspicions

ONLY_ITS_PART = "; nobody can enter this audience"


def warnings_of(
    parsed: Sequence[ParsedAudience],
    others: Iterable[language.Audience] = (),
    log: LogNames | None = None,
) -> tuple[DefinitionProblem, ...]:
    """What is probably not meant as it is written, by file, line and column.

    ``others`` are audiences that these may speak of; with ``log``, names that it doesn't have are told, too.
    """
    projects: dict[str, dict[str, language.Audience]] = {}
    for audience in (*others, *(each.audience for each in parsed)):
        projects.setdefault(audience.project, {})[audience.id] = audience
    reaches = {project: Reach(audiences) for project, audiences in projects.items()}
    found: list[DefinitionProblem] = []
    for each in parsed:
        found += _of_audience(each, reaches[each.audience.project])
        found += suspicions(each)
        found += [] if log is None else unseen(each, log)
    return sort_problems(dict.fromkeys(found))


def _of_audience(each: ParsedAudience, reach: Reach) -> list[DefinitionProblem]:
    audience = each.audience
    parts = list(never_and_always(audience.rule, reach))
    if not reach.audience(audience.id, True):
        causes = [found for found in parts if found.code == "never_true"]
        if len(causes) == 1:  # told once, with what follows
            parts.remove(causes[0])
            return [
                *_told(each, parts),
                problem_at(each, causes[0].part, "never_entered", causes[0].message + ONLY_ITS_PART),
            ]
        message = f"nobody can enter audience '{audience.id}': its rule is never true"
        return [*_told(each, parts), problem_at(each, audience.rule, "never_entered", message)]
    if not reach.audience(audience.id, False):
        whole = [found for found in parts if found.part is audience.rule]
        parts = [found for found in parts if found.part is not audience.rule]
        message = f"every user who is known is in audience '{audience.id}', and nobody leaves it"
        what = f"{whole[0].message}: {message}" if whole else message
        return [*_told(each, parts), problem_at(each, audience.rule, "never_left", what)]
    return _told(each, parts)


def _told(each: ParsedAudience, parts: Iterable[Found]) -> list[DefinitionProblem]:
    return [problem_at(each, found.part, found.code, found.message) for found in parts]
