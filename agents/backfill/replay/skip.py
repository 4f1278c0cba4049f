"""Records that can't concern the audiences that are computed, told from their bytes: they aren't decoded.

What is skipped still moves stream time, as it does in the live stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agents.evaluate.steps import Record
from agents.formats.format import Format
from agents.formats.native import Native
from rules.compile.rule_set import RuleSet
from rules.model.language import ANY_EVENT
from rules.time.instants import MAX_MS

Matters = Callable[[bytes | None], bool]
"""Whether a record with this value may concern the audiences; False only where it certainly doesn't."""

_OTHER: Final = re.compile(rb'"type"[ \t\r\n]*:[ \t\r\n]*"(?:profile|delete)"').search
_DELETE: Final = re.compile(rb'"type"[ \t\r\n]*:[ \t\r\n]*"delete"').search


@dataclass(frozen=True, slots=True)
class Taken:
    """Records to take, of one source partition, in log order; between them others may have been skipped."""

    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Everything up to this offset is taken or skipped, and stream time has been at least here."""

    topic: str
    partition: int
    last_offset: int
    timestamp_ms: int


class Sieve:
    """What concerns the audiences of ``rules``. ``formats`` are those of topics that are not native.

    Names are looked for in native records alone: in other formats the name of an event may be made of several
    fields. Of ``history_topics`` nothing is skipped if some rule holds for a user of whom nothing is known:
    some users may be known from there alone, and come with any record.
    """

    def __init__(
        self,
        rules: RuleSet,
        formats: Mapping[str, Format],
        repartition_topic: str,
        history_topics: Collection[str] = (),
    ) -> None:
        native = all(isinstance(each, Native) for each in formats.values())
        self._others = {topic for topic, each in formats.items() if not isinstance(each, Native)}
        if not native:
            self._others.add(repartition_topic)  # its records have the formats of all sources
        if any(each.initial for each in rules.projects.values()):
            self._others.update(history_topics)
        self._matters = matters_to(rules)

    def matters(self, topic: str) -> Matters | None:
        """For records of a topic; None: every one matters."""
        return None if topic in self._others else self._matters

    def sift(self, records: Sequence[Record]) -> Iterator[Taken | Skipped]:
        """Divide records of one source partition, in log order, into what is to be taken and what isn't.

        Records to take stay together as long as each has at least the stream time that those skipped before
        it brought: then nobody can tell that others lay in between.
        """
        matters = self.matters(records[0].topic) if records else None
        if matters is None:
            if records:
                yield Taken(records)
            return
        taken: list[Record] = []
        latest_ms = brought_ms = -1
        for record in records:
            timestamp = record.timestamp
            if not matters(record.value):
                if latest_ms < timestamp <= MAX_MS:
                    latest_ms = timestamp
                continue
            if brought_ms < timestamp <= MAX_MS:
                brought_ms = timestamp
            if latest_ms > brought_ms:
                if taken:
                    yield Taken(taken)
                yield Skipped(record.topic, record.partition, record.offset - 1, latest_ms)
                taken, brought_ms = [], latest_ms
            taken.append(record)
        if taken:
            yield Taken(taken)
        last = records[-1]
        if not taken or taken[-1] is not last:
            yield Skipped(last.topic, last.partition, last.offset, latest_ms)


def matters_to(rules: RuleSet) -> Matters | None:
    """For native records; None: every one matters."""
    projects = rules.projects.values()
    if any(each.any_event.conditions for each in projects):
        return None
    names = sorted({name for each in projects for name in each.by_event} - {ANY_EVENT})
    reads_attributes = any(each.by_attribute or each.watched for each in projects)
    return _finder(names, reads_attributes)


def _finder(names: Sequence[str], reads_attributes: bool) -> Matters:
    """The value of ``event`` is looked for as it stands in JSON. A backslash may stand for anything: what has
    one is decoded. All else that JSON allows is white space around the colon."""
    any_name = b"|".join(re.escape(name.encode(errors="surrogatepass")) for name in names)
    event = re.compile(rb'"event"[ \t\r\n]*:[ \t\r\n]*"(?:%s)"' % any_name).search if names else _nothing

    def event_matters(value: bytes | None) -> bool:
        return value is not None and (
            b"\\" in value or event(value) is not None or _DELETE(value) is not None
        )

    def any_matters(value: bytes | None) -> bool:
        return value is not None and (b"\\" in value or event(value) is not None or _OTHER(value) is not None)

    return any_matters if reads_attributes else event_matters


def _nothing(_: bytes) -> None:
    return None
