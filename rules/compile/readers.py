"""Which audiences to look at when a condition changed: of those that read it, the ones that may hold.

An audience often can't hold unless another of its conditions has seen an event: its *anchor*. As long as
the row has no state of the anchor the user isn't in, and no time alone brings the user in. So of a thousand
audiences that all ask for ``not: {event: purchase, within: 7d}`` only those are looked at whose other
conditions this user has met.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rules.model import language


@dataclass(frozen=True, slots=True)
class Readers:
    """Indexes of the audiences that read one thing. ``anchored`` are by the key of their anchor."""

    always: tuple[int, ...]
    anchored: Mapping[int, tuple[int, ...]]

    def of(self, states: Collection[int]) -> Iterable[int]:
        """Those to look at for a row that has these conditions' states."""
        if len(states) < len(self.anchored):
            found = [index for key in states for index in self.anchored.get(key, ())]
        else:  # a row with hundreds of states is asked for each of them (``ByTime.of``)
            found = [index for key, some in self.anchored.items() if key in states for index in some]
        return [*self.always, *found]


def anchors_of(rule: language.Rule, leaves: Iterator[frozenset[int]]) -> frozenset[int]:
    """Keys of the conditions without whose state the rule can't hold.

    ``leaves`` gives for each condition, from left to right, its key if the condition is false without
    state, otherwise none.
    """
    match rule:
        case language.All(parts=parts):
            return frozenset().union(*[anchors_of(part, leaves) for part in parts])
        case language.Any(parts=parts):
            return _in_each(parts, leaves)
        case language.AtLeast(n=n, parts=parts) if n == len(parts):
            return frozenset().union(*[anchors_of(part, leaves) for part in parts])
        case language.AtLeast(parts=parts):
            return _in_each(parts, leaves)
        case language.Not(part=part):
            anchors_of(part, leaves)
            return frozenset()
        case language.Score(parts=scored):
            for part, _ in scored:
                anchors_of(part, leaves)
            return frozenset()
        case _:
            return next(leaves)


def _in_each(parts: Iterable[language.Rule], leaves: Iterator[frozenset[int]]) -> frozenset[int]:
    first, *rest = [anchors_of(part, leaves) for part in parts]
    return first.intersection(*rest)


def readers_of(
    reading: Collection[int],
    anchors: Sequence[frozenset[int]],
    popularity: Mapping[int, int],
    own: int | None = None,
) -> Readers:
    """Of the audiences ``reading`` something; ``own`` is the key of the condition that it is, if it is one.

    Each goes by that anchor of its own (``anchors``) which the fewest audiences have (``popularity``).
    """
    always: list[int] = []
    anchored: dict[int, list[int]] = {}
    for index in sorted(reading):
        others = anchors[index] - {own}
        if others:
            rarest = min(others, key=lambda key: (popularity[key], key))
            anchored.setdefault(rarest, []).append(index)
        else:
            always.append(index)
    return Readers(tuple(always), {key: tuple(found) for key, found in anchored.items()})
