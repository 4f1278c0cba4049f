"""The pipeline: one partition's records in, its steps out. Read this file first.

No Faust, no Kafka client, no wall clock: the worker, ``turnstile simulate`` and the tests all run this very
code. A *step* is a batch of records, a stretch of time, or a part of a sweep after definitions changed:

    records ──▶ decode ──▶ fire the user's earlier timers ──▶ apply ──▶ decide ──▶ Step
                                                                         rows, outbox, timer index,
                                                                         transitions, dead letters

A step changes the rows in memory at once and says what must be written, and in which order
(``agents.evaluate.commits``): changelog, then outputs, then the store, then the source offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from agents.evaluate.intake import ahead_of_wall, apply_record, decode_records, outgrows
from agents.evaluate.outgoing import Outgoing
from agents.evaluate.records import NO_PROPERTIES, InputRecord, PlainEvent
from agents.evaluate.row_limits import by_records_bytes, compute_again, leave
from agents.evaluate.steps import Draft, Limits, Record, Step
from agents.kafka.placement import MOST_PARTITIONS, Origin, Place, was_untimed
from rules.compile.rule_set import EMPTY, NO_RULES, RuleSet
from rules.decide.decide import apply_event, fire, new_row
from rules.decide.redefine import redefine
from rules.decide.upgrade import upgrade
from rules.state.dedupe import hash_of, is_repeated, remember
from rules.state.row import Row
from rules.time.instants import MAX_MS
from tables.changelog import largest_row_bytes
from tables.codec import (
    Checkpoint,
    Ground,
    encode_checkpoint,
    record_print,
    row_key,
    source_key,
    split_row_key,
)
from tables.meta import StoreMeta, encode_meta
from tables.profiles import Profiles, RowsTooLarge, Staged
from tables.refused import Note, Refused

ANY_TIMESTAMP_MS: Final = 1 << 63


class Pipeline:
    """One partition of the profile table: rules, rows, stream time. Not thread-safe; steps are in order."""

    def __init__(
        self,
        place: Place,
        profiles: Profiles,
        limits: Limits,
        recovered: Checkpoint | None = None,
        used_slots: Iterable[int] = (),
    ) -> None:
        self.place = place
        self.profiles = profiles
        self.limits = limits
        self.rules: RuleSet = EMPTY
        self.stream_time_ms = recovered.stream_time_ms if recovered else 0
        self.swept = recovered.swept if recovered else EMPTY.fingerprint
        self.swept_ms = recovered.swept_ms if recovered else 0
        self.step = recovered.step if recovered else 0
        acked_step = recovered.acked_step if recovered else 0
        self.outgoing = Outgoing(acked_step, limits.changelog_bytes, used_slots)
        self.ground = recovered.ground if recovered else Ground()
        """What is noted of the topics; kept by the worker."""
        self.changelog_id = b""
        """Of the changelog's topic, for the store to remember."""
        self.is_noted = recovered is not None
        """A checkpoint of this partition is in the changelog, or will be with the next step."""
        self._positions: dict[int, int] = dict(recovered.positions) if recovered else {}
        self._prints: dict[int, int] = dict(self.ground.prints)
        self._done = dict(self._positions)
        """Per source partition, repartitioned records aside, the last offset taken since the start."""
        self._judged = {**self._positions, **(recovered.judged if recovered else {})}
        """Per source partition, the last offset whose timestamp was judged, now or in an earlier life."""
        self.refused = Refused(profiles.store.notes())
        self.told: dict[Origin, int] = {}
        """Records that a crash left as dead letters in the last checkpoint, with their ``record_print``: they
        are not judged anew, though the step that they come in now may end with other rows."""
        self._notes: list[Note] = []
        """For the changelog batch of the next step."""
        self._sweep_after = b""
        self._sweep_first: list[bytes] = []
        self._in_step = False
        self.profiles.upgrade = self._upgrade
        self._next_rules: RuleSet | None = None

    # -- steps ---------------------------------------------------------------------------------------

    def apply(self, records: Sequence[Record], latest_ms: int | None = None) -> Step:
        """Take records of one source partition, in log order, as one step, however large it gets."""
        draft = self.begin()
        draft.is_bounded = False
        self.feed(draft, records, latest_ms)
        return self.finish(draft)

    def begin(self) -> Draft:
        """A step of several slices: ``begin``, ``feed`` each, ``finish``; no other step meanwhile."""
        self._in_step = True
        self.profiles.age()
        return Draft(self.stream_time_ms, dict(self._positions), dict(self._prints))

    def rewind(self, draft: Draft) -> None:
        """Forget what the draft's records did, as if the step had not begun."""
        self.stream_time_ms, self._positions = draft.stream_time_ms, dict(draft.positions)
        self._prints = dict(draft.prints)
        for records in draft.fed:
            batch = decode_records(self.place, records, self.limits, Draft(0, {}))
            self.profiles.forget(key for _, _, key, _ in batch)

    def feed(self, draft: Draft, records: Sequence[Record], latest_ms: int | None = None) -> int:
        """Take a slice of the records of one source partition, in log order; how many were taken.

        Fewer than all when the draft is full: the rest is another step's. A record with a later timestamp
        than ``latest_ms``, that would move stream time there, is a dead letter and moves nothing; but what
        was decided of a record before holds. None: none is too late.
        """
        if not records:
            return 0
        log = source = self._source(records[0].topic, records[0].partition)
        is_repartitioned = records[0].topic == self.place.repartition_topic
        # Repartitioned records were judged before they were repartitioned.
        in_time = records if is_repartitioned else self._in_time(draft, source, records, latest_ms)
        batch = decode_records(self.place, in_time, self.limits, draft)
        rows = self.profiles.load([key for _, _, key, _ in batch])
        project, rules = "", NO_RULES
        changed, local, out, keys = draft.changed, draft.local, draft.transitions, draft.keys
        stream_time_ms = self.stream_time_ms
        # What a row notes of applied offsets is not enough: a record that changed nothing left no trace, and
        # if it comes again at a later stream time it would share its step with a timer due just then.
        floor = self._done.get(source, -1)
        dedupe, told = self.limits.dedupe, self.told
        remembers = dedupe.run_ms > 0
        applied = repeated = dropped = 0
        for record, decoded, key, time_ms in batch:
            timestamp_ms = record.timestamp
            if stream_time_ms < timestamp_ms <= MAX_MS:
                stream_time_ms = timestamp_ms
            if decoded is None:
                continue
            row = rows.get(key)
            known = row is not None
            if row is None:
                if not self.place.owns(decoded.user_id):
                    draft.repartitioned.append((decoded.user_id, record, self.place.origin(record)))
                    continue
                row = new_row(stream_time_ms)
            now_ms = stream_time_ms if stream_time_ms > row.now_ms else row.now_ms
            offset = record.offset
            if offset <= floor or (told and self._is_told(record)):
                repeated += 1
                continue
            if is_repartitioned:
                if timestamp_ms == 0 and was_untimed(record):
                    timestamp_ms = -1
                topic, partition, offset = self.place.origin(record)
                source = source_key(topic, partition, self.place.accepted_ms(record))
            if offset <= row.applied.get(source, -1):
                repeated += 1
                continue
            if decoded.project != project:
                project, rules = decoded.project, self.rules.project(decoded.project)
            emitted = len(out)
            due_before = row.timer_ms
            if timestamp_ms < 0 and decoded.time is None:
                time_ms = now_ms
            if isinstance(decoded, InputRecord) and outgrows(
                self.place, row, decoded, record, self.limits, draft
            ):
                draft.refused.append(draft.dead[-1])
                continue
            record_id = decoded.id if remembers and decoded.type == "track" else None
            if record_id is not None:
                record_hash = hash_of(record_id)
                if is_repeated(row, record_hash, now_ms, dedupe):
                    # Noted, for when it is read once more the window may be over.
                    repeated += 1
                    row.applied[source] = offset
                    if key not in changed:
                        changed[key] = local.pop(key, due_before)
                    continue
                dropped += remember(row, record_hash, now_ms, dedupe)
            if due_before is not None and due_before < now_ms:
                fire(rules, decoded.user_id, row, now_ms, out)
            if isinstance(decoded, PlainEvent):
                effect = apply_event(
                    rules,
                    decoded.user_id,
                    row,
                    decoded.event,
                    decoded.id,
                    time_ms,
                    decoded.properties or NO_PROPERTIES,
                    now_ms,
                    known,
                    out,
                )
            else:
                effect = apply_record(rules, row, decoded, time_ms, now_ms, known, out)
            applied += 1
            if not known:
                self.profiles.add(key, row)
            if len(out) > emitted:
                keys.extend([key] * (len(out) - emitted))
                effect = True
            # A repartitioned one may be copied once more, so that even one without effect must leave a trace.
            if effect or record_id is not None or is_repartitioned:
                row.applied[source] = offset
                if key not in changed:
                    changed[key] = local.pop(key, due_before) if known else None
            elif row.timer_ms != due_before and key not in changed:
                local.setdefault(key, due_before)
            if len(out) > emitted and draft.is_full(self.limits):
                records = _up_to(record, records)
                draft.dead = [each for each in draft.dead if each.record.offset <= record.offset]
                break
        last = records[-1]
        # Never back: records that come again were taken, and judged, before.
        if last.offset >= self._positions.get(log, -1):
            self._positions[log] = last.offset
            self._prints[log] = record_print(last.timestamp, last.key, last.value)
        self._judged[log] = max(last.offset, self._judged.get(log, -1))
        draft.fed.append(records)
        draft.fed_bytes += sum(len(each.value) for each in records if each.value)
        if self.profiles.large:
            draft.row_bytes = sum(self.profiles.large.get(key, 0) for key in changed)
        draft.counts.applied += applied
        draft.counts.repeated += repeated
        draft.counts.ids_dropped += dropped
        draft.stream_time_moved = draft.stream_time_moved or stream_time_ms > self.stream_time_ms
        self.stream_time_ms = stream_time_ms
        return len(records)

    def _is_told(self, record: Record) -> bool:
        known = self.told.get(self.place.origin(record))
        return known is not None and known == record_print(record.timestamp, record.key, record.value)

    def _in_time(
        self, draft: Draft, source: int, records: Sequence[Record], latest_ms: int | None
    ) -> Sequence[Record]:
        """All but those whose timestamps are too far ahead."""
        refused = self.refused
        # What lies before stream time can't move it: without harm, no note is needed to decide alike later.
        limit_ms = ANY_TIMESTAMP_MS if latest_ms is None else max(latest_ms, self.stream_time_ms)
        if max([each.timestamp for each in records]) <= limit_ms and not refused.any_of(source):
            return records
        judged = self._judged.get(source, -1)
        taken: list[Record] = []
        news: list[int] = []
        for record in records:
            if refused.holds(source, record.offset):
                pass
            elif record.offset > judged and limit_ms < record.timestamp <= MAX_MS:  # beyond: never valid
                news.append(record.offset)
            else:
                taken.append(record)
                continue
            draft.dead.append(ahead_of_wall(self.place, record, latest_ms))
        self._notes.extend(refused.add(source, news))
        return taken

    def refuses(self, topic: str, partition: int) -> bool:
        """Whether records of this source partition are noted as refused."""
        return self.refused.any_of(self._source(topic, partition))

    def forget_refused(self, topic: str, partition: int, log_start: int) -> None:
        """The source partition begins at this offset now: notes of earlier records may go."""
        self._notes.extend(self.refused.forget(self._source(topic, partition), log_start))

    def punctuate(self, to_ms: int, limit: int) -> Step:
        """Move stream time (never back) and fire the timers that it passed, for at most ``limit`` users."""
        draft = self.begin()
        self.stream_time_ms = stream_time_ms = max(self.stream_time_ms, to_ms)
        due = self.profiles.due(stream_time_ms, limit)
        rows = self.profiles.load([key for _, key in due])
        for timer_ms, key in due:
            if draft.is_full(self.limits):
                break
            draft.counts.timers += 1
            row = rows.get(key)
            if row is None or row.timer_ms != timer_ms:
                draft.stale.append((timer_ms, key))  # left by a recovery over older rows
                continue
            project, user_id = split_row_key(key)
            emitted = len(draft.transitions)
            fire(self.rules.project(project), user_id, row, stream_time_ms, draft.transitions)
            if len(draft.transitions) > emitted:
                draft.keys.extend([key] * (len(draft.transitions) - emitted))
                draft.changed[key] = timer_ms
            else:
                draft.local[key] = timer_ms
        if draft.counts.timers == len(due) < limit:
            self.profiles.fired_until(stream_time_ms)
        return self.finish(draft)

    @property
    def overdue(self) -> bool:
        """Some timers that stream time passed are still to be fired by ``punctuate``."""
        return self.profiles.is_due(self.stream_time_ms)

    def define(self, rules: RuleSet) -> None:
        """Use other definitions from the next step on; ``sweep`` then looks at every row again."""
        if self._in_step:
            self._next_rules = rules
            return
        self.rules = rules
        self._sweep_after = b""
        self._sweep_first = self.profiles.unstored_keys()

    @property
    def sweeping(self) -> bool:
        return self.swept != self.rules.fingerprint

    def sweep(self, limit: int) -> Step:
        """Look at the next ``limit`` rows under changed definitions; the differences come out."""
        draft = self.begin()
        first = bool(self._sweep_first)
        keys = self._sweep_first[:limit] if first else self.profiles.scan(self._sweep_after, limit)
        rows = self.profiles.load(keys)
        looked_at = 0
        for key in keys:
            if draft.is_full(self.limits):
                break
            looked_at += 1
            row = rows.get(key)
            if row is None:
                continue
            project, user_id = split_row_key(key)
            due_before = row.timer_ms
            emitted = len(draft.transitions)
            now_ms = max(self.stream_time_ms, row.now_ms)
            rules, out = self.rules.project(project), draft.transitions
            if redefine(rules, user_id, row, now_ms, "definition", out, self.swept_ms):
                draft.keys.extend([key] * (len(draft.transitions) - emitted))
                draft.changed[key] = due_before
            elif row.timer_ms != due_before:
                draft.local[key] = due_before
        if first:
            del self._sweep_first[:looked_at]
        elif keys:
            self._sweep_after = keys[looked_at - 1]
        else:
            self.swept = self.rules.fingerprint
            self.swept_ms = max(self.swept_ms, self.rules.published_ms)
        return self.finish(draft)

    # -- reading -------------------------------------------------------------------------------------

    def look(self, project: str, user_id: str, at_ms: int) -> Row | None:
        """The user's row as it is at ``at_ms`` (not before stream time): timers up to then are decided.

        The row is a copy. None: nothing is known of the user.
        """
        row = self.profiles.read(row_key(project, user_id))
        if row is None:
            return None
        rules = self.rules.project(project)
        at_ms = max(at_ms, self.stream_time_ms, row.now_ms)
        if self.sweeping:
            redefine(rules, user_id, row, at_ms, "definition", [], self.swept_ms)
        if row.timer_ms is not None and row.timer_ms <= at_ms:
            fire(rules, user_id, row, at_ms + 1, [])
        return row

    @property
    def changelog_next(self) -> int:
        """Offset after the last changelog record that is acknowledged, or that recovery has read."""
        return self.outgoing.changelog_next

    def position_of(self, topic: str, partition: int) -> int:
        """Last offset taken of a source partition; -1 when none was."""
        return self._positions.get(self._source(topic, partition), -1)

    def print_of(self, topic: str, partition: int) -> int | None:
        """``record_print`` of that last record; None: it isn't known."""
        return self._prints.get(self._source(topic, partition))

    def has_taken(self, topic: str) -> bool:
        """Whether any record of a source topic was taken here."""
        partitions = range(self.place.partition, MOST_PARTITIONS, self.place.partitions)
        return any(self.position_of(topic, each) >= 0 for each in partitions)

    # -- acknowledgements ----------------------------------------------------------------------------

    def acked(self, step: Step) -> None:
        """The step's outputs are in Kafka."""
        self.outgoing.acked(step)

    def durable(self, steps: Sequence[Step]) -> None:
        """Changelog and outputs of these steps are in Kafka: their rows may go to the store."""
        for step in steps:
            self.acked(step)
        staged = [step.staged for step in steps if not step.is_empty]
        if staged:
            # Together: the offset that the store notes is that after the last of them.
            checkpoint = steps[-1].end_checkpoint
            checkpoint.acked_step = self.outgoing.acked_step
            staged[-1].write.meta = self._meta(checkpoint)
            self.profiles.durable(*staged)

    def resume(self, step: int) -> None:
        """After recovery: outputs up to ``step`` are in Kafka, and the next step has a higher number."""
        self.step = max(self.step, step)
        self.outgoing.resume(self.step)

    def checkpoint(self) -> bytes:
        """The checkpoint as it stands."""
        return encode_checkpoint(self.checkpoint_now())

    def checkpoint_now(self) -> Checkpoint:
        return self._checkpoint(self.stream_time_ms, self._positions, self._prints)

    def flush(self) -> None:
        """Bring the store up to the changelog. Nothing may be under way."""
        self.profiles.flush(self._meta(self.checkpoint_now()))

    # -- inside --------------------------------------------------------------------------------------

    def _source(self, topic: str, partition: int) -> int:
        return source_key(topic, partition, self.place.accepted.get(topic, 0))

    def _upgrade(self, key: bytes, row: Row) -> None:
        upgrade(self.rules.project(split_row_key(key)[0]), row)

    def finish(self, draft: Draft) -> Step:
        """The step that the draft makes. From here on other steps may begin."""
        self.step += 1
        draft, staged = self._staged(draft)
        staged.write.notes, self._notes = self._notes, []
        self.outgoing.made(self.step, draft)
        # Whoever finds committed offsets and no checkpoint must know that the changelog was lost.
        is_first = not self.is_noted and bool(self._positions)
        self.is_noted = self.is_noted or is_first
        counts = draft.counts
        counts.dead = len(draft.dead)
        counts.repartitioned = len(draft.repartitioned)
        counts.enters = sum(each.is_enter for each in draft.transitions)
        counts.exits = len(draft.transitions) - counts.enters
        checkpoint = self._checkpoint(draft.stream_time_ms, draft.positions, draft.prints)
        end_checkpoint = self.checkpoint_now()
        self._in_step = False
        if self._next_rules is not None:
            rules, self._next_rules = self._next_rules, None
            self.define(rules)
        return Step(
            number=self.step,
            checkpoint=checkpoint,
            end_checkpoint=end_checkpoint,
            # What is refused because of its row stays so, whichever records it comes with after a crash.
            must_note=draft.stream_time_moved or is_first or bool(draft.refused),
            staged=staged,
            transitions=draft.transitions,
            transition_keys=draft.keys,
            left=draft.left,
            dead=draft.dead,
            repartitioned=draft.repartitioned,
            counts=counts,
            accepted=self.place.accepted,
        )

    def _staged(self, draft: Draft) -> tuple[Draft, Staged]:
        profiles, most_bytes = self.profiles, largest_row_bytes(self.limits.changelog_bytes)
        may_have = by_records_bytes(self.limits) if draft.fed else most_bytes
        try:
            return draft, profiles.stage(draft.changed, draft.local, draft.stale, may_have)
        except RowsTooLarge as found:
            large = frozenset(found.keys)
        if draft.fed:
            draft = compute_again(self, draft, large)
        else:
            leave(self, draft, large, by_time=draft.counts.timers > 0)
        return draft, profiles.stage(draft.changed, draft.local, draft.stale, most_bytes)

    def _meta(self, checkpoint: Checkpoint) -> bytes:
        return encode_meta(
            StoreMeta(self.outgoing.changelog_next, encode_checkpoint(checkpoint), self.changelog_id)
        )

    def _checkpoint(
        self, stream_time_ms: int, positions: dict[int, int], prints: dict[int, int]
    ) -> Checkpoint:
        judged = {key: offset for key, offset in self._judged.items() if offset != positions.get(key)}
        return Checkpoint(
            self.step,
            self.outgoing.acked_step,
            stream_time_ms,
            self.swept,
            self.place.partitions,
            dict(positions),
            self.swept_ms,
            judged,
            replace(self.ground, prints=dict(prints)),
        )


def _up_to(record: Record, records: Sequence[Record]) -> Sequence[Record]:
    at = next(at for at, each in enumerate(records) if each is record)
    return records[: at + 1]
