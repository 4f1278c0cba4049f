"""Before a computation begins: whether the history still reaches as far back as its versions ask for.

It did when they were published; retention may have taken records since. Nothing is decided on less than
their authors asked for (rules, section 8a.6).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka.structs import TopicPartition

from agents.backfill.history.completeness import LogBegin, shortfalls
from agents.backfill.history.extent import Begin
from agents.backfill.history.imports import Run
from agents.backfill.history.reader import HistoryLost
from agents.backfill.versions.catalog import Catalog
from agents.backfill.versions.cuts import Computation
from agents.backfill.versions.pending import Target


class HistoryShort(HistoryLost):
    """Records that versions ask for are gone; ``reasons``, by version, are for people."""

    def __init__(self, reasons: Mapping[Target, str]) -> None:
        super().__init__("; ".join(reasons.values()))
        self.reasons = reasons


def check_reach(
    catalog: Catalog,
    made: Computation,
    begins: Mapping[TopicPartition, Begin],
    runs: Sequence[Run],
    at_ms: int,
    dedupe_ms: int,
) -> None:
    """``begins`` of the source partitions, and ``runs`` of the history topics, of one partition of the table.

    Raises HistoryShort.
    """
    imported = [piece.first_ms for run in runs for piece in run.pieces if piece.first_ms is not None]
    logs = [_log_begin(tp, begin, imported) for tp, begin in sorted(begins.items())]
    bodies = [catalog.published(each, made.active[each]).audience for each in made.audiences]
    reasons: dict[Target, str] = {}
    for target in made.targets:
        audience = catalog.published(target.audience, target.version).audience
        by_id = {each.id: each for each in bodies if each.project == audience.project}
        for short in shortfalls([audience], by_id, logs, at_ms, dedupe_ms):
            reasons[target] = str(short)
    if reasons:
        raise HistoryShort(reasons)


def _log_begin(tp: TopicPartition, begin: Begin, imported_ms: Sequence[int]) -> LogBegin:
    known = [*imported_ms, *([] if begin.timestamp_ms is None else [begin.timestamp_ms])]
    return LogBegin(f"{tp.topic}/{tp.partition}", min(known, default=None), whole=begin.offset == 0)
