"""A record of the type ``delete``: its user is erased, and stays out until a later record comes.

Later is what lies behind, in each source partition, what was taken by then. A request through HTTP also says
where the logs ended when it was made (``agents.evaluate.partition.request``), so that what was on its way
doesn't bring the user back.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.evaluate.partition.request import ends_of
from agents.evaluate.partition.state import Partition
from agents.evaluate.parts import whole_of
from agents.evaluate.steps import Draft, Record
from agents.formats.records import InputRecord
from agents.kafka.placement import Origin, Place
from rules.decide.erase import erase
from rules.state.identities import GONE, Claim
from rules.state.row import Row, Trigger
from tables.codec import source_key
from tables.erased import MOST_REQUESTS, Erased


def erase_user(
    partition: Partition,
    draft: Draft,
    record: Record,
    decoded: InputRecord,
    key: bytes,
    row: Row,
    time_ms: int,
    now_ms: int,
) -> None:
    """Erase the user of a row, which becomes a stub. The draft gets the exits and the notes."""
    place = partition.place
    origin, rules = place.origin(record), partition.rules.project(decoded.project)
    applied = {**row.applied}
    passed = [*partition.positions.offsets.items(), *_said(place, record)]
    passed.append((_source_of(place, record, origin), origin[2]))
    for source, offset in passed:
        applied[source] = max(offset, applied.get(source, -1))
    request = decoded.id or "{}-{}-{}".format(*origin)
    known = partition.erased
    before = draft.erased.get(key) or known.of(key)
    requests = [*(before.requests if before is not None else ()), request][-MOST_REQUESTS:]
    trigger = Trigger(None, decoded.id, time_ms)
    draft.claims += [
        (key, Claim(decoded.project, namespace, value, decoded.user_id, now_ms, True))
        for namespace, value in row.identities.items()
        if value != GONE
    ]
    erase(rules, decoded.user_id, row, now_ms, trigger, applied, draft.transitions)
    row.epoch = partition.epoch
    taken = place.source(record.topic, record.partition), record.offset
    memberships = dict(row.audiences)
    draft.erased[key] = Erased(
        now_ms,
        memberships,
        applied,
        requests,
        decoded.project,
        taken,
        known.note_of(key),
        max(record.timestamp, 0),
    )


def _source_of(place: Place, record: Record, origin: Origin) -> int:
    topic, partition, _ = origin
    return source_key(topic, partition, place.accepted_ms(record))


def _said(place: Place, record: Record) -> Iterable[tuple[int, int]]:
    """Per source partition that a request names, the last offset before it was made."""
    whole = whole_of(record)
    if not place.is_request(whole):
        return []
    return [
        (place.source(topic, partition), end - 1)
        for topic, by_partition in ends_of(whole).items()
        for partition, end in by_partition.items()
    ]
