"""Records of one source partition, taken in log order: each is repartitioned, a repeat, refused, or applied.

    stream time follows ──▶ whose row? ──▶ taken before? ──▶ too large? ──▶ same id? ──▶ fire the user's
    the timestamp                                                                        earlier timers, apply

A row notes the last offset that it applied of each source: a record that comes again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.evaluate.partition.erasing import erase_user
from agents.evaluate.partition.intake import SKIPPED, decode_records, letter_of
from agents.evaluate.partition.state import Partition
from agents.evaluate.parts import Part, whole_of
from agents.evaluate.steps import Draft, Record
from agents.formats.records import NO_PROPERTIES, InputRecord, to_update
from agents.formats.refused import RecordRefused
from agents.kafka.placement import was_untimed
from rules.compile.project_rules import ProjectRules
from rules.decide.decide import apply_event, apply_profile, fire, new_row
from rules.decide.send import send_event
from rules.state.dedupe import hash_of, is_repeated, remember
from rules.state.identities import Claim, has_news, take_identities
from rules.state.row import Row, Transition
from rules.time.instants import MAX_MS
from tables.codec import encode_attributes, source_key


def take_records(
    partition: Partition, draft: Draft, records: Sequence[Record], latest_ms: int | None = None
) -> int:
    """Take a slice of the records of one source partition, in log order; how many were taken.

    Fewer than all when the draft is full: the rest is another step's. A record with a later timestamp than
    ``latest_ms`` (None: none is too late) that would move stream time there is a dead letter and moves
    nothing; but what was decided of a record before holds.
    """
    if not records:
        return 0
    place, first, time_before_ms = partition.place, records[0], partition.stream_time_ms
    source = place.source(first.topic, first.partition)
    records = list(records)  # raw ones would be made again each time somebody looks
    in_time: Sequence[Record] = records
    if first.topic != place.repartition_topic:  # otherwise they were judged before they were repartitioned
        in_time, letters = partition.judge.judge(source, records, time_before_ms, latest_ms)
        draft.dead += letters
    read, letters = decode_records(place, in_time, partition.limits)
    draft.dead += letters
    rows = partition.rows(draft, [key for _, _, key, _ in read])
    applier = _Applier(partition, draft, source, first.topic == place.repartition_topic)
    for record, decoded, key, time_ms in read:
        if partition.stream_time_ms < record.timestamp <= MAX_MS and not place.is_request(record):
            partition.stream_time_ms = record.timestamp
        if decoded is None:
            draft.counts.skipped += key == SKIPPED
            continue  # otherwise a dead letter
        row = rows.get(key)
        if row is None and not place.owns(decoded.user_id):
            draft.repartitioned.append((decoded.user_id, record, place.origin(record)))
            continue
        has_transitions = applier.take(record, decoded, key, time_ms, row)
        is_begun = isinstance(record, Part) and not record.is_last
        if has_transitions and not is_begun and draft.is_full(partition.limits):
            records = _up_to(record, records)
            draft.dead = [each for each in draft.dead if each.record.offset <= record.offset]
            break
    partition.positions.take(source, whole_of(records[-1]))
    partition.judge.judged_to(source, records[-1].offset)
    draft.take(records)
    if partition.profiles.large:
        draft.row_bytes = sum(partition.profiles.large.get(key, 0) for key in draft.changed)
    draft.stream_time_moved = draft.stream_time_moved or partition.stream_time_ms > time_before_ms
    return len(records)


class _Applier:
    """Takes records of one source partition, whose users' rows are here, one by one."""

    def __init__(self, partition: Partition, draft: Draft, source: int, is_repartitioned: bool) -> None:
        self._partition = partition
        self._place = partition.place
        self._draft = draft
        self._counts = draft.counts
        self._source = source
        self._is_repartitioned = is_repartitioned
        # What a row notes of applied offsets is not enough: a record that changed nothing left no trace, and
        # if it comes again at a later stream time it would share its step with a timer due just then.
        self._floor = partition.positions.recovered.get(source, -1)
        self._dedupe = partition.limits.dedupe
        self._refused_before = partition.refused_before

    def take(self, record: Record, decoded: InputRecord, key: bytes, time_ms: int, row: Row | None) -> bool:
        """Take one record of a user; ``row`` None: the first one. Whether transitions came of it."""
        partition, draft = self._partition, self._draft
        is_new = row is None
        if row is None:
            row = partition.first_row(key, partition.stream_time_ms)
        known = row is not None and not row.is_stub  # a user who was erased comes as new
        if row is None:
            row = new_row(partition.stream_time_ms)
        if is_new:
            row.epoch = partition.epoch
        before_ms = row.now_ms
        now_ms = max(partition.stream_time_ms, before_ms)
        source, offset, is_timed = self._written(record)
        part = record if isinstance(record, Part) else None
        is_begun = part is not None and key in part.begun  # by another part of the same record
        if (offset <= row.applied.get(source, -1) and not is_begun) or self._was_taken(record):
            self._counts.repeated += 1
            return False
        if partition.forgets and self._is_forgotten(decoded, key, row, record.topic, source, offset):
            self._counts.repeated += 1
            return False
        if part is not None:
            part.begun.add(key)
        if not is_timed and decoded.time is None:
            time_ms = now_ms
        if self._is_refused(row, decoded, record):
            return False
        due_before = None if is_new else row.timer_ms
        if decoded.type == "delete":
            return self._erase(record, decoded, key, row, is_new, time_ms, now_ms)
        if row.is_stub:
            back = partition.first_row(key, partition.stream_time_ms)
            if back is None:
                row.begin_again(now_ms, partition.epoch)
            else:
                back.applied = row.applied
                row.become(back)
                known = True
                draft.turned.add(key)
        record_id = decoded.id if decoded.type == "track" and self._dedupe.run_ms > 0 else None
        if record_id is not None and self._is_same_id(row, decoded.event or "", record_id, now_ms):
            # Noted, because the window may be over when it is read once more.
            row.applied[source] = offset
            draft.change(key, due_before)
            return False
        rules = partition.rules.project(decoded.project)
        if due_before is not None and due_before < now_ms:
            fire(rules, decoded.user_id, row, now_ms, draft.transitions)
        has_effect = _apply(rules, row, decoded, time_ms, now_ms, known, draft.transitions) or is_new
        if rules.destinations and decoded.type == "track":
            _send(rules, row, decoded, time_ms, now_ms, draft.transitions)
        if decoded.identities is not None and self._take_identities(key, row, decoded, now_ms):
            has_effect = True
        self._counts.applied += 1
        if is_new:
            partition.profiles.add(key, row)
            if known:
                draft.turned.add(key)  # it came with memberships
        has_transitions = draft.claim(key)
        # A repartitioned one may be copied once more, so that even one without effect must leave a trace.
        if has_effect or has_transitions or record_id is not None or self._is_repartitioned:
            row.applied[source] = offset
            draft.change(key, due_before)
        elif row.timer_ms != due_before:
            draft.move_timer(key, due_before)
        else:
            row.now_ms = before_ms  # as it is stored, so that it doesn't matter for how long it is in memory
        return has_transitions

    def _is_forgotten(
        self, decoded: InputRecord, key: bytes, row: Row, topic: str, source: int, offset: int
    ) -> bool:
        if decoded.type == "delete":
            return self._partition.is_back(key, row)
        return self._partition.is_forgotten(key, topic, source, offset)

    def _erase(
        self,
        record: Record,
        decoded: InputRecord,
        key: bytes,
        row: Row,
        is_new: bool,
        time_ms: int,
        now_ms: int,
    ) -> bool:
        """The user is erased; whether transitions came of it."""
        partition, draft = self._partition, self._draft
        due_before = None if is_new else row.timer_ms
        if not (is_new or row.is_stub):
            partition.sweep_first(draft, key, row)
        erase_user(partition, draft, record, decoded, key, row, time_ms, now_ms)
        self._counts.applied += 1
        if is_new:
            partition.profiles.add(key, row)
        draft.turned.add(key)
        has_transitions = draft.claim(key)
        draft.change(key, due_before)
        return has_transitions

    def _written(self, record: Record) -> tuple[int, int, bool]:
        """Where the producer wrote it: source key and offset; and whether it wrote a timestamp."""
        if not self._is_repartitioned:
            return self._source, record.offset, record.timestamp >= 0
        topic, partition, offset = self._place.origin(record)
        source = source_key(topic, partition, self._place.accepted_ms(record))
        return source, offset, record.timestamp > 0 or (record.timestamp == 0 and not was_untimed(record))

    def _was_taken(self, record: Record) -> bool:
        """Whether an earlier life of the partition took it or refused it."""
        return record.offset <= self._floor or self._refused_before.holds(record)

    def _is_refused(self, row: Row, decoded: InputRecord, record: Record) -> bool:
        """Whether attributes or identities would let the row grow without bound; then it's a dead letter."""
        news = has_news(row, decoded.identities)
        if not (news or decoded.set or decoded.set_once or decoded.add or decoded.append):
            return False
        limit = self._partition.limits.max_attributes_bytes
        kept = {"attributes": row.attributes, "changed": row.changed_ms, "identities": row.identities}
        size = len(record.value or b"") + len(encode_attributes(kept))
        if size <= limit:
            return False
        self._draft.refuse(letter_of(self._place, record, attributes_too_large(size, limit)))
        return True

    def _take_identities(self, key: bytes, row: Row, decoded: InputRecord, now_ms: int) -> bool:
        """Whether the record changed the row's identities; then the draft has the claims."""
        claims: list[Claim] = []
        has_changed = take_identities(
            row, decoded.identities, decoded.project, decoded.user_id, now_ms, claims
        )
        self._draft.claims += [(key, each) for each in claims]
        return has_changed

    def _is_same_id(self, row: Row, event: str, record_id: str, now_ms: int) -> bool:
        """Whether the user sent an event of this name and id lately; otherwise the id is remembered."""
        record_hash = hash_of(event, record_id)
        if is_repeated(row, record_hash, now_ms, self._dedupe):
            self._counts.repeated += 1
            return True
        self._counts.ids_dropped += remember(row, record_hash, now_ms, self._dedupe)
        return False


def attributes_too_large(size: int, limit: int) -> RecordRefused:
    """Why a record is refused that would let a user's attributes have ``size`` bytes."""
    message = f"the attributes would have {size} bytes; records.max_attributes_bytes allows {limit}"
    return RecordRefused("attributes_too_large", message, "apply")


def _apply(
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
        has_effect = apply_event(
            rules, user_id, row, record.event, record.id, time_ms, properties, now_ms, known, out
        )
    else:
        has_effect = apply_profile(rules, user_id, row, to_update(record, time_ms), now_ms, known, out)
    return has_effect


def _send(
    rules: ProjectRules, row: Row, record: InputRecord, time_ms: int, now_ms: int, out: list[Transition]
) -> None:
    """What destinations get of an event that was applied."""
    properties = record.properties or NO_PROPERTIES
    send_event(rules, record.user_id, row, record.event or "", record.id, time_ms, properties, now_ms, out)


def _up_to(record: Record, records: Sequence[Record]) -> Sequence[Record]:
    whole = whole_of(record)
    at = next(at for at, each in enumerate(records) if each is whole)
    return records[: at + 1]
