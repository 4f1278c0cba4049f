"""Lines that libraries repeat: the first one passes, the others are counted in the next one that does.

A client library that can't reach Kafka writes a hundred lines a second, all alike. Nothing new is left out: a
line counts as a repetition only when it differs in nothing but numbers.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cachetools import LRUCache

FIRST_SECONDS = 60.0
"""After so long the next repetition passes, with the number of those that didn't; then ten times as long."""
LONGEST_SECONDS = 3600.0
KINDS = 1000
"""Kinds of lines that are remembered, the latest; of others the next one passes."""
_NUMBERS = re.compile(r"\d+")


@dataclass(slots=True)
class _Kind:
    passed: float
    seen: float
    wait: float = FIRST_SECONDS
    folded: int = 0


class RepeatedLines(logging.Filter):
    """For a handler. ``names``: the first parts of the names of the loggers whose lines are folded."""

    def __init__(self, names: Collection[str], now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._names = frozenset(names)
        self._now = now
        self._kinds: LRUCache[tuple[str, int, str], _Kind] = LRUCache(KINDS)
        self.folded = 0
        """Lines that did not pass, since the start."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in self._names:
            return True
        now, text = self._now(), record.getMessage()
        raised = f" {record.exc_info[1]!r}" if record.exc_info else ""
        key = (record.name, record.levelno, _NUMBERS.sub("0", text + raised))
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds[key] = _Kind(now, now)
            return True
        if now - kind.seen > kind.wait:
            kind.wait = FIRST_SECONDS  # it was over, and has come back
        elif now - kind.passed < kind.wait:
            kind.seen = now
            kind.folded += 1
            self.folded += 1
            return False
        else:
            kind.wait = min(10 * kind.wait, LONGEST_SECONDS)
        if kind.folded:
            record.msg = f"{text} (and {kind.folded} more like it in the last {now - kind.passed:.0f} s)"
            record.args = ()
        kind.passed = kind.seen = now
        kind.folded = 0
        return True
