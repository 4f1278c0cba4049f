"""Records on their way into the pipeline: read, checked, and applied to a row whatever their kind."""

from __future__ import annotations

from collections.abc import Sequence

from agents.evaluate.records import (
    NO_PROPERTIES,
    InputRecord,
    RecordRefused,
    event_time_ms,
    read_record,
    to_update,
)
from agents.evaluate.steps import DeadLetter, Draft, Limits, ReadRecord, Record
from agents.kafka.placement import OriginInvalid, Place
from rules.compile.rule_set import ProjectRules
from rules.decide.decide import apply_event, apply_profile
from rules.state.row import Row, Transition
from rules.time.instants import format_instant
from tables.codec import encode_attributes, row_key


def decode_records(place: Place, records: Sequence[Record], limits: Limits, draft: Draft) -> list[ReadRecord]:
    """Decode and check; what can't be used becomes a dead letter of the draft."""
    batch: list[ReadRecord] = []
    max_bytes = limits.max_bytes
    is_repartitioned = bool(records) and records[0].topic == place.repartition_topic
    for record in records:
        try:
            if is_repartitioned:
                place.origin(record)
                place.accepted_ms(record)
            decoded = read_record(record.value, record.timestamp, max_bytes)
            time_ms = event_time_ms(decoded, record.timestamp)
        except RecordRefused as refusal:
            draft.dead.append(_letter(place, record, refusal))
            batch.append((record, None, b"", 0))
            continue
        except OriginInvalid as invalid:
            where = record.topic, record.partition, record.offset
            draft.dead.append(DeadLetter(record, where, "rekeyed_origin", str(invalid), "rekey"))
            batch.append((record, None, b"", 0))
            continue
        if decoded.project == "default":
            key = decoded.user_id.encode()
        else:
            key = row_key(decoded.project, decoded.user_id)
        batch.append((record, decoded, key, time_ms))
    return batch


def outgrows(
    place: Place, row: Row, decoded: InputRecord, record: Record, limits: Limits, draft: Draft
) -> bool:
    """Whether attributes or identities would let the row grow without bound; then it's a dead letter."""
    identities = decoded.identities
    news = identities is not None and not identities.items() <= row.identities.items()
    if not (news or decoded.set or decoded.set_once or decoded.add):
        return False
    limit = limits.max_attributes_bytes
    kept = {"attributes": row.attributes, "changed": row.changed_ms, "identities": row.identities}
    size = len(record.value or b"") + len(encode_attributes(kept))
    if size <= limit:
        return False
    message = f"the attributes would have {size} bytes; records.max_attributes_bytes allows {limit}"
    draft.dead.append(_letter(place, record, RecordRefused("attributes_too_large", message, "apply")))
    return True


def ahead_of_wall(place: Place, record: Record, latest_ms: int | None) -> DeadLetter:
    """The dead letter of a record from the future. ``latest_ms`` is what the wall clock allows now."""
    at = format_instant(record.timestamp)
    message = f"the record's timestamp {at} is ahead of the wall clock by more than clock.max_lead_ms"
    if latest_ms is not None and record.timestamp > latest_ms:
        message += f": timestamps up to {format_instant(latest_ms)} were taken then"
    return _letter(place, record, RecordRefused("timestamp_ahead", message, "clock"))


def _letter(place: Place, record: Record, refusal: RecordRefused) -> DeadLetter:
    return DeadLetter(record, place.origin(record), refusal.code, str(refusal), refusal.stage)


def apply_record(
    rules: ProjectRules,
    row: Row,
    record: InputRecord,
    time_ms: int,
    now_ms: int,
    known: bool,
    out: list[Transition],
) -> bool:
    """A record of any kind; says whether the row changed in anything that must be kept."""
    user_id = record.user_id
    if record.type == "track":
        assert record.event is not None
        properties = record.properties or NO_PROPERTIES
        effect = apply_event(
            rules, user_id, row, record.event, record.id, time_ms, properties, now_ms, known, out
        )
    else:
        effect = apply_profile(rules, user_id, row, to_update(record, time_ms), now_ms, known, out)
    identities = record.identities
    if identities is not None and not identities.items() <= row.identities.items():
        row.identities |= identities
        effect = True
    return effect
