"""The pipeline: one partition's records in, its steps out. Read this file first.

No Faust, no Kafka client, no wall clock: the worker, ``turnstile simulate`` and the tests all run this very
code. A *step* is a batch of records, a stretch of time, or a part of a sweep after definitions changed:

    records ──▶ judge ──▶ decode ──▶ apply ─┐
    time    ──▶ fire timers ────────────────┼──▶ stage rows ──▶ Step: rows, outboxes, timer index,
    sweep   ──▶ decide again ───────────────┘                         transitions, claims, dead letters

A step changes the rows in memory at once and says what must be written, and in which order
(``agents.evaluate.commits``): changelog, then outputs, then the store, then the source offsets. Its parts are
in ``agents.evaluate.partition``; ``agents.evaluate.outgoing`` has what is on its way to Kafka.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from agents.evaluate.jobs import Parts, run_here
from agents.evaluate.outgoing import Outgoing
from agents.evaluate.partition.apply import take_records
from agents.evaluate.partition.grafting import Grafting, ShadowRows
from agents.evaluate.partition.row_limits import stage_what_fits
from agents.evaluate.partition.state import Partition, Recovered
from agents.evaluate.partition.sweep import Sweep
from agents.evaluate.question import Question
from agents.evaluate.steps import Draft, Limits, Record, Step
from agents.kafka.placement import Place
from rules.compile.rule_set import RuleSet
from rules.compile.with_destinations import NO_EVENT_DESTINATIONS, EventDestinations
from rules.decide.decide import fire
from rules.decide.redefine import redefine
from rules.state.row import Row
from tables.changelog.format import Written
from tables.codec import Checkpoint, Ground, encode_checkpoint, row_key, split_row_key
from tables.cut import CUT_KEY, Cut, encode_cut
from tables.erased import buried_notes, erased_notes
from tables.meta import MEMBER_INDEX, StoreMeta, encode_meta
from tables.profiles import Profiles, Staged
from tables.row_store import Timer


class Pipeline(Partition):
    """One partition of the profile table, step by step. Not thread-safe; steps are in order."""

    def __init__(
        self, place: Place, profiles: Profiles, limits: Limits, recovered: Recovered | None = None
    ) -> None:
        recovered = recovered or Recovered()
        super().__init__(place, profiles, limits, recovered)
        checkpoint = recovered.checkpoint
        self.step = checkpoint.step if checkpoint else 0
        """Number of the last step."""
        self.outgoing = Outgoing(recovered, limits.changelog_bytes)
        self.ground = checkpoint.ground if checkpoint else Ground()
        """What is noted of the topics; ``note_topics`` changes it."""
        self.is_noted = checkpoint is not None
        """A checkpoint of this partition is in the changelog, or will be with the next step."""
        self._changelog_id = recovered.changelog_id
        self._sweep = Sweep(checkpoint)
        self._event_destinations = NO_EVENT_DESTINATIONS
        self._audience_rules = self.rules
        self._sends_otherwise = False
        """``send`` was called during a step."""
        self._in_step = False
        self._next_rules: RuleSet | None = None
        self._buried_step = 0

    # -- steps of records ----------------------------------------------------------------------------

    def apply(self, records: Sequence[Record], latest_ms: int | None = None) -> Step:
        """Take records of one source partition, in log order, as one step, however large it gets."""
        draft = self.begin()
        draft.is_bounded = False
        self.feed(draft, records, latest_ms)
        return run_here(self.finishing(draft))

    def begin(self) -> Draft:
        """A step of several slices: ``begin``, ``feed`` each, ``finish``; no other step meanwhile."""
        self._in_step = True
        return super().begin()

    def feed(self, draft: Draft, records: Sequence[Record], latest_ms: int | None = None) -> int:
        """Take a slice of the records of one source partition; how many were taken (``take_records``)."""
        return take_records(self, draft, records, latest_ms)

    def feeding(self, draft: Draft, records: Sequence[Record], latest_ms: int | None) -> Parts[int]:
        """``feed`` in parts. Rows may be read between them."""
        return self.feed(draft, records, latest_ms)
        yield  # Python alone has no jobs for other threads

    def finish(self, draft: Draft) -> Step:
        """The step that the draft makes. From here on other steps may begin."""
        self.step += 1
        draft, staged = self._staged(draft)
        for key, erased in draft.erased.items():
            draft.notes += erased_notes(key, erased)
        staged.write.notes = [*self.judge.take_notes(), *draft.notes]
        staged.write.deleted = draft.buried
        self.erased.add(draft.notes, self.step)
        self.outgoing.made(self.step, draft)
        # A worker that finds committed offsets and no checkpoint must know that the changelog was lost.
        is_first = not self.is_noted and bool(self.positions.offsets)
        self.is_noted = self.is_noted or is_first
        has_moved = draft.stream_time_moved or draft.positions != self.positions.offsets
        step = Step(
            number=self.step,
            checkpoint=self._checkpoint(draft.stream_time_ms, draft.positions, draft.prints),
            end_checkpoint=self.checkpoint_now(),
            # Computations of the past end at the positions. A refusal because of a row outlives a crash.
            must_note=draft.must_note or is_first or has_moved or bool(draft.refused),
            staged=staged,
            transitions=draft.emitted,
            transition_keys=draft.emitted_by,
            claims=draft.claimed,
            left=draft.left,
            dead=draft.dead,
            repartitioned=draft.repartitioned,
            counts=draft.counted(),
            accepted=self.place.accepted,
            refused_before=self.refused_before.to_come(draft.positions),
            finished=draft.finished,
            erased=draft.erased,
        )
        self._in_step = False
        if self._next_rules is not None:
            rules, self._next_rules = self._next_rules, None
            self.define(rules)
        elif self._sends_otherwise:
            self._use(self._audience_rules)
        return step

    def finishing(self, draft: Draft) -> Parts[Step]:
        """``finish`` in parts."""
        return self.finish(draft)
        yield  # as above

    def _staged(self, draft: Draft) -> tuple[Draft, Staged]:
        """Stage the draft, or what is made of it because its rows are too large."""
        return stage_what_fits(self, draft)

    # -- steps of time -------------------------------------------------------------------------------

    def punctuate(self, to_ms: int, limit: int) -> Step:
        """Move stream time (never back) and fire the timers that it passed, for at most ``limit`` users."""
        return run_here(self.punctuating(to_ms, limit))

    def punctuating(self, to_ms: int, limit: int) -> Parts[Step]:
        """``punctuate`` in parts."""
        draft = self.begin()
        self.stream_time_ms = stream_time_ms = max(self.stream_time_ms, to_ms)
        due = self.profiles.timers.due(stream_time_ms, limit)
        fired = yield from self._firing(draft, due)
        if fired == len(due) < limit:
            self.profiles.timers.fired_until(stream_time_ms)
        return (yield from self.finishing(draft))

    def _firing(self, draft: Draft, due: Sequence[Timer]) -> Parts[int]:
        """``_fire`` in parts."""
        return self._fire(draft, due)
        yield  # as above

    def _fire(self, draft: Draft, due: Sequence[Timer]) -> int:
        """Fire timers, in order, until the draft is full; how many."""
        stream_time_ms = self.stream_time_ms
        rows = self.rows(draft, [key for _, key in due])
        for timer_ms, key in due:
            if draft.is_full(self.limits):
                break
            draft.counts.timers += 1
            row = rows.get(key)
            if row is None or row.timer_ms != timer_ms:
                draft.stale.append((timer_ms, key))  # left by a recovery over older rows
                continue
            project, user_id = split_row_key(key)
            fire(self.rules.project(project), user_id, row, stream_time_ms, draft.transitions)
            if draft.claim(key):
                draft.change(key, timer_ms)
            else:
                draft.move_timer(key, timer_ms)
        return draft.counts.timers

    def sweep_first(self, draft: Draft, key: bytes, row: Row) -> None:
        if self.sweeping and self.grafting is None:
            self._sweep.look(self, draft, key, row)

    def bury(self) -> Step | None:
        """Delete the rows of erased users whose exits are in Kafka: their stubs stay, under other names."""
        acked = self.outgoing.acked_step
        ready = [key for key, step in self.erased.unburied.items() if step <= acked]
        if not ready:
            return None
        stored = self.profiles.stored(ready)
        if not stored:
            return None
        draft = self.begin()
        rows = self.rows(draft, stored)
        draft.buried = [key for key in stored if key not in rows or rows[key].is_stub]
        draft.notes += [(key, None) for key in draft.buried]  # of the changelog, before it says so
        draft.notes += buried_notes(stored)
        self._buried_step = self.step + 1
        return self.finish(draft)

    @property
    def is_burying(self) -> bool:
        """The last step that buried users isn't in the store yet."""
        return self.outgoing.acked_step < self._buried_step

    @property
    def overdue(self) -> bool:
        """Some timers that stream time passed are still to be fired by ``punctuate``."""
        return self.profiles.timers.may_be_due(self.stream_time_ms)

    # -- steps of a sweep ----------------------------------------------------------------------------

    def define(self, rules: RuleSet) -> None:
        """Use other definitions from the next step on; ``sweep`` then looks at every row again."""
        if self._in_step:
            self._next_rules = rules
            return
        self._use(rules)
        self._sweep.start(self)

    def send(self, destinations: EventDestinations) -> None:
        """These destinations get events from the next step on."""
        self._event_destinations = destinations
        if self._in_step:
            self._sends_otherwise = True
        else:
            self._use(self._audience_rules)

    def _use(self, rules: RuleSet) -> None:
        self._sends_otherwise = False
        self._audience_rules = rules
        self.rules = self._event_destinations.beside(rules)
        self.profiles.define(self.rules)

    def cut(self, cut: Cut, rules: RuleSet, shadow: ShadowRows | None = None) -> Step:
        """Let other versions decide from here on: ``rules`` are those that ``cut`` says to be active.

        ``shadow`` stands at exactly this position and stream time, with no timer before it open. Without one
        the rows are decided again by what they hold.
        """
        assert self.grafting is None, "the graft before is not over"
        assert shadow is None or not (self.sweeping or self.overdue), "the sweep before is not over"
        draft = self.begin()
        if shadow is not None and shadow.stream_time_ms > self.stream_time_ms:
            # No record came yet, and the history gives the partition its clock.
            cut.stream_time_ms = self.stream_time_ms = shadow.stream_time_ms
        draft.notes.append((CUT_KEY, encode_cut(cut)))
        draft.must_note = True
        self.cut_at(cut, rules, shadow)
        return self.finish(draft)

    def cut_at(self, cut: Cut, rules: RuleSet, shadow: ShadowRows | None) -> None:
        """Go on from a cut that is noted. ``shadow`` is None when there was none, or all rows are grafted."""
        self.last_cut = cut
        self.grafting = None if shadow is None else Grafting(cut, rules, shadow, self.limits.dedupe)
        self.define(rules)

    @property
    def sweeping(self) -> bool:
        return not self._sweep.is_over(self.rules)

    def sweep(self, limit: int) -> Step:
        """Look at the next ``limit`` rows under changed definitions; the differences come out."""
        draft = self.begin()
        self._sweep.take(self, draft, limit)
        return self.finish(draft)

    # -- reading -------------------------------------------------------------------------------------

    def look(self, project: str, user_id: str, at_ms: int) -> Row | None:
        """The user's row as it is at ``at_ms`` (not before stream time): timers up to then are decided.

        The row is a copy. None: nothing is known of the user.
        """
        key = row_key(project, user_id)
        return self.look_at([key], at_ms).get(key)

    def look_at(self, keys: Collection[bytes], at_ms: int) -> dict[bytes, Row]:
        """The same of many, by row key; keys without a row are absent."""
        rows = self.profiles.read_many(keys)
        if self.grafting is not None:
            grafted = {key: self.grafting.look(key, rows.get(key)) for key in keys}
            rows = {key: row for key, row in grafted.items() if row is not None}
        rows = {key: row for key, row in rows.items() if not row.is_stub}
        for key, row in rows.items():
            project, user_id = split_row_key(key)
            rules = self.rules.project(project)
            then_ms = max(at_ms, self.stream_time_ms, row.now_ms)
            if self.sweeping and self.grafting is None:
                redefine(rules, user_id, row, then_ms, "definition", [], self._sweep.swept_ms)
            if row.timer_ms is not None and row.timer_ms <= then_ms:
                fire(rules, user_id, row, then_ms + 1, [])
        return rows

    async def tell(self, question: Question, user_ids: Sequence[str]) -> list[bytes] | None:
        """What the native core tells of each user, as JSON of ``app.lookup.answers.UserLookedUp``; None: only
        Python can tell it now. Raises StoreBroken, and StoreClosed if the partition went meanwhile."""
        return self.tell_now(question, user_ids)

    def tell_now(self, question: Question, user_ids: Sequence[str]) -> list[bytes] | None:
        """The same, where nothing has to be waited for."""
        return None

    @property
    def swept(self) -> str:
        """Fingerprint of the rules under which every row was last looked at."""
        return self._sweep.swept

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

    def flush(self) -> None:
        """Bring the store up to the changelog. Nothing may be under way."""
        self.profiles.flush(self._meta(self.checkpoint_now()))

    def close(self) -> None:
        """Close the stores. Nothing may be under way."""
        self.profiles.store.close()
        if self.grafting is not None:
            self.grafting.shadow.close()

    # -- checkpoints ---------------------------------------------------------------------------------

    def note_topics(self, ids: dict[int, bytes], definitions: int, top_version: int) -> None:
        """Have the next checkpoint say what the topics and definitions are (fields of ``Ground``)."""
        top_version = max(self.ground.top_version, top_version)
        self.ground = replace(self.ground, topics=ids, definitions=definitions, top_version=top_version)

    def note(self) -> Iterator[Written]:
        """The changelog records of a quiet moment: the checkpoint as it stands."""
        return self.outgoing.note(self.checkpoint_now(), self.refused_before.to_come(self.positions.offsets))

    def checkpoint_now(self) -> Checkpoint:
        """The checkpoint as it stands."""
        return self._checkpoint(self.stream_time_ms, self.positions.offsets, self.positions.prints)

    def _meta(self, checkpoint: Checkpoint) -> bytes:
        return encode_meta(
            StoreMeta(
                self.outgoing.changelog_next, encode_checkpoint(checkpoint), self._changelog_id, MEMBER_INDEX
            )
        )

    def _checkpoint(
        self, stream_time_ms: int, positions: dict[int, int], prints: dict[int, int]
    ) -> Checkpoint:
        return Checkpoint(
            self.step,
            self.outgoing.acked_step,
            stream_time_ms,
            self._sweep.swept,
            self.place.partitions,
            dict(positions),
            self._sweep.swept_ms,
            self.judge.judged_beyond(positions),
            replace(self.ground, prints=dict(prints)),
        )
