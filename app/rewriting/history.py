"""A history topic that is rewritten: what counts of it, the headers of the copies, and what the imports are
then. No I/O."""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition
from msgspec.structs import replace

from agents.backfill.history.imports import Import, ImportedRun, position_header, position_of
from agents.topics.look import Topic
from app.rewriting.copying import Copied, Headers, Record

COPY: Final = "copy-"
"""Before the id of an import that is of copies."""


class HistoryRewriting:
    """One rewriting of a topic, which has the imports ``known``."""

    def __init__(self, topic: Topic, known: Sequence[Import]) -> None:
        self._topic = topic
        self.known = known
        self._id = COPY + secrets.token_hex(8)
        self._others: defaultdict[int, list[int]] = defaultdict(list)
        """By partition, the offsets of records that no import wrote."""
        self._abandoned = {each.id for each in known if each.state == "abandoned"}
        self._runs = {
            (each.id, run.partition): run for each in known if each.state == "done" for run in each.runs
        }
        self._replaced: Counter[int] = Counter()
        """By partition, before which offset there are copies of all that no import wrote."""
        for run in self._runs.values():
            self._replaced[run.partition] = max(self._replaced[run.partition], run.replaces)

    def counts(self, record: Record) -> bool:
        """Whether it counts, or might: not what was given up, or a rewriting left that was killed."""
        position = position_of(record.headers)
        if position is None:
            return bool(record.offset >= self._replaced[record.partition])
        run = self._runs.get((position[0], record.partition))
        if run is not None:
            return bool(run.begin <= record.offset < run.end)
        return not position[0].startswith(COPY) and position[0] not in self._abandoned

    def headers(self, record: Record, offsets: Mapping[int, int]) -> Headers:
        """Of the record's copy."""
        headers: Headers = record.headers
        if position_of(headers) is not None:
            return headers
        others = self._others[record.partition]
        if not others or others[-1] != record.offset:
            others.append(record.offset)
        return [*headers, position_header(self._id, record.offset)]

    def imports(self, copied: Mapping[TopicPartition, Copied]) -> list[Import]:
        """Those that changed, and the one of the copies of what no import wrote."""
        found = [_moved(each, copied) for each in self.known if each.state == "done"]
        now_ms = time.time_ns() // 1_000_000
        runs = [self._run(tp.partition, each) for tp, each in copied.items() if self._others[tp.partition]]
        if runs:
            topic = self._topic
            topic_id = topic.topic_id.hex()
            made = Import(
                self._id, topic.name, topic_id, "done", "as it lay there", (), tuple(runs), now_ms, now_ms
            )
            found.append(made)
        return found

    def _run(self, partition: int, copied: Copied) -> ImportedRun:
        offsets = [copied.offsets[each] for each in self._others[partition]]
        return ImportedRun(partition, offsets[0], offsets[-1] + 1, len(offsets), replaces=copied.end)


def _moved(known: Import, copied: Mapping[TopicPartition, Copied]) -> Import:
    """The import with its runs where their records are now."""
    runs: list[ImportedRun] = []
    for run in known.runs:
        found = copied.get(TopicPartition(known.topic, run.partition))
        if found is None:
            runs.append(run)
            continue
        offsets = [new for old, new in found.offsets.items() if run.begin <= old < run.end]
        begin, end = (min(offsets), max(offsets) + 1) if offsets else (found.end, found.end)
        runs.append(replace(run, begin=begin, end=end, records=len(offsets)))
    return replace(known, runs=tuple(runs))
