"""The order in which a project's audiences are decided: each after those that its rule asks about."""

from __future__ import annotations

from collections.abc import Container, Sequence

from rules.compile.audience import PublishedAudience
from rules.model import language


def in_order(published: Sequence[PublishedAudience]) -> list[PublishedAudience]:
    """Each after those that its rule asks about; by id where that leaves a choice."""
    by_id = {each.audience.id: each for each in published}
    asked = {name: _asked_by(by_id[name], by_id) for name in sorted(by_id)}
    levels: dict[str, int] = {}
    for start in asked:
        waiting = [start]  # no recursion: a chain of references may be as long as there are audiences
        while waiting:
            name = waiting[-1]
            fresh = [] if name in levels else [each for each in asked[name] if each not in levels]
            levels.setdefault(name, 0)  # what was published in a circle, against all checks, ends here
            if fresh:
                waiting += fresh
                continue
            waiting.pop()
            levels[name] = 1 + max((levels[each] for each in asked[name]), default=0)
    return sorted(published, key=lambda each: (levels[each.audience.id], each.audience.id))


def asked_about(published: Sequence[PublishedAudience]) -> list[set[int]]:
    """For each audience the indexes of those that its rule asks about itself."""
    indexes = {each.audience.id: index for index, each in enumerate(published)}
    return [{indexes[name] for name in _asked_by(each, indexes)} for each in published]


def all_asked_about(asked: Sequence[set[int]], index: int) -> set[int]:
    """The indexes of the audiences that one asks about, and of those that theirs do."""
    found, waiting = set[int](), [*asked[index]]
    while waiting:
        each = waiting.pop()
        found.add(each)
        waiting += asked[each] - found
    return found


def _asked_by(published: PublishedAudience, known: Container[str]) -> list[str]:
    """The ids, without repetitions and without those that no audience has."""
    return [each for each in dict.fromkeys(language.references(published.audience.rule)) if each in known]
