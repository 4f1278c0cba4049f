"""Finding the chains of events that fit a sequence: one pass over the events in their order.

For each step, the open chains that end there are kept by what later steps will ask of them: the values that
their events bound. Of chains alike in that, one is better if its first event came later (``total``,
``without``), or its last one did (the next step's ``within``); only those are kept that no other beats.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from rules.conditions.fits import NO_FITS, Fits, has, less, only
from rules.conditions.patterns import Bindings, Layout, Pattern, Slots, identity
from rules.model import language

Open: TypeAlias = dict[Bindings, tuple[Bindings, deque[tuple[int, int]]]]
"""By what tells bindings apart: the bindings, and (time of the last event, index of the first one), the times
ascending, the indexes descending."""


class Chains:
    """The chains of one sequence."""

    def __init__(self, source: language.Sequence, patterns: list[Pattern], layout: Layout) -> None:
        self.size = size = len(source.steps)
        self.bound = [pattern.bound for pattern in patterns[:size]]
        self.within_ms = [step.within_ms for step in source.steps]
        self.total_ms = source.total_ms
        self.without: Fits = only(size) if source.without is not None else NO_FITS
        named = {step.name: at for at, step in enumerate(source.steps) if step.name is not None}
        origin = [named[ref.step] for ref in layout.bindings]
        used = [_last_use(source, ref) for ref in layout.bindings]
        slots = [layout.value_slot(ref.path) for ref in layout.bindings]
        self.size_of_bindings = len(layout.bindings)
        self.binds = [[(at, slots[at]) for at, step in enumerate(origin) if step == k] for k in range(size)]
        """Per step, (binding, slot): what its event binds."""
        self.drops = [[at for at, step in enumerate(used) if step == k] for k in range(size)]
        """Per step, the bindings that no later step asks for."""
        free = source.without is None and source.total_ms is None
        self.earliest = [
            free
            and k + 1 < size
            and source.steps[k + 1].within_ms is None
            and not any(origin[at] <= k < used[at] for at in range(len(origin)))
            for k in range(size)
        ]
        """Per step: whether the earliest chain to reach it is as good as any that reaches it later."""
        self.earliest_first = self.earliest[0]

    def find(self, times: list[int], steps: list[Fits], slots: list[Slots]) -> list[int]:
        """The times at which chains end, ascending. Takes steps off events that no chain needs them for.

        ``times`` ascend; ``steps`` are those that each event may be, ``slots`` its slots, if there are any.
        """
        opened: list[Open] = [{} for _ in range(self.size)]
        ends: list[int] = []
        last, barred = self.size - 1, -1
        for index, event_ms in enumerate(times):
            fits = steps[index]
            mine = slots[index] if slots else []
            # The last step first, so that an event is never two steps of one chain.
            for k in range(last, 0, -1):
                if not has(fits, k):
                    continue
                if self.earliest[k] and opened[k]:
                    steps[index] = less(steps[index], k)
                    continue
                for bindings, first in self._reaching(opened[k - 1], k, event_ms, mine):
                    if k < last:
                        self._open(opened[k], k, bindings, mine, event_ms, first)
                    elif first >= barred and self._in_total(event_ms - times[first]):
                        if not ends or ends[-1] != event_ms:
                            ends.append(event_ms)
                        break
            if fits & self.without:
                barred = index
                for each in opened:
                    each.clear()
            if has(fits, 0):
                if self.earliest[0] and opened[0]:
                    steps[index] = less(steps[index], 0)
                else:
                    self._open(opened[0], 0, (None,) * self.size_of_bindings, mine, event_ms, index)
        return ends

    def _reaching(self, opened: Open, k: int, event_ms: int, mine: Slots) -> list[tuple[Bindings, int]]:
        """The chains that an event continues as step ``k``: their bindings and the latest first event."""
        within_ms, bound = self.within_ms[k], self.bound[k]
        found: list[tuple[Bindings, int]] = []
        gone: list[Bindings] = []
        for key, (bindings, chains) in opened.items():
            if within_ms is not None:
                while chains and chains[0][0] < event_ms - within_ms:
                    chains.popleft()
                if not chains:
                    gone.append(key)
                    continue
            if bound is None or bound(mine, bindings):
                found.append((bindings, chains[0][1]))
        for key in gone:
            del opened[key]
        return found

    def _open(self, opened: Open, k: int, bindings: Bindings, mine: Slots, event_ms: int, first: int) -> None:
        """A chain now ends at this event, as step ``k``."""
        if self.binds[k] or self.drops[k]:
            changed = list(bindings)
            for at in self.drops[k]:
                changed[at] = None
            for at, slot in self.binds[k]:
                changed[at] = mine[slot]
            bindings = tuple(changed)
        key = tuple(map(identity, bindings)) if bindings else bindings
        found = opened.get(key)
        if found is None:
            opened[key] = bindings, deque([(event_ms, first)])
            return
        chains = found[1]
        while chains and chains[-1][1] <= first:
            chains.pop()
        if not chains or self.within_ms[k + 1] is not None:
            chains.append((event_ms, first))

    def _in_total(self, span_ms: int) -> bool:
        return self.total_ms is None or span_ms <= self.total_ms


def _last_use(source: language.Sequence, ref: language.Ref) -> int:
    return max(at for at, step in enumerate(source.steps) if _mentions(step.event.where, ref))


def _mentions(predicate: language.Predicate | None, ref: language.Ref) -> bool:
    return any(test.operand == ref for test in language.tests_of(predicate))
