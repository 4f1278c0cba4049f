"""The sizes of a rule's parts: for how many users each holds, and what it keeps and drops beside the others.

In an ``all`` the parts are taken in their order: a part *keeps* those for whom it and all parts before it
hold, and *drops* those for whom all parts before it hold and it doesn't. In an ``any`` a part *adds* those
for whom it holds and none before it does. So what the last part keeps, and what all parts add, is the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.compile.audience import CompiledAudience
from rules.explain.explain import KINDS, Kind
from rules.explain.sentences import batch_requirement, requirement
from rules.explain.wired import Wired, wire
from rules.model import language
from rules.state.row import Row


@dataclass(slots=True)
class PartCount:
    """A node of a rule; numbers of sampled users. ``is_in_all``, ``is_in_any``: what its parent is."""

    kind: Kind
    text: str
    """What the node asks for, as a sentence."""
    node: Wired
    holds: int = 0
    keeps: int = 0
    drops: int = 0
    adds: int = 0
    is_in_all: bool = False
    is_in_any: bool = False
    parts: list[PartCount] = field(default_factory=list)

    def count(self, row: Row, at_ms: int, users: int = 1) -> bool:
        """Count users with this row, which is decided up to ``at_ms``; whether the node holds for them."""
        holds = self.node.node.truth(row, at_ms)
        self.holds += users * holds
        all_so_far, any_so_far = True, False
        for part in self.parts:
            part_holds = part.count(row, at_ms, users)
            if part.is_in_all and all_so_far:
                part.keeps += users * part_holds
                part.drops += users * (not part_holds)
            if part.is_in_any and not any_so_far:
                part.adds += users * part_holds
            all_so_far = all_so_far and part_holds
            any_so_far = any_so_far or part_holds
        return holds


def parts_of(audience: CompiledAudience) -> PartCount:
    """The tree of the audience's rule, with nobody counted. That of a batch audience stands under a node
    of kind ``batch``, which holds for those whom the latest compute instant took in; the parts are as of
    the instant that is asked about."""
    root = wire(audience)
    if audience.schedule is None:
        return _counted(root)
    schedule, zone = audience.source.schedule, audience.source.timezone
    assert schedule is not None
    return PartCount("batch", batch_requirement(schedule, zone), root, parts=[_counted(root.parts[0])])


def _counted(wired: Wired) -> PartCount:
    parts = [_counted(each) for each in wired.parts]
    for part in parts:
        part.is_in_all = isinstance(wired.rule, language.All)
        part.is_in_any = isinstance(wired.rule, language.Any)
    return PartCount(KINDS[type(wired.rule)], requirement(wired.rule), wired, parts=parts)
