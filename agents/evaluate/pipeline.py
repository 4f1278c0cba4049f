"""The pipeline: one partition's records in, its steps out. Read this file first.

No Faust, no Kafka client, no wall clock: the worker, ``turnstile simulate`` and the tests all run this very
code. A *step* is a batch of records, a stretch of time, or a part of a sweep after definitions changed:

    records ──▶ judge ──▶ decode ──▶ apply ─┐
    time    ──▶ fire timers ────────────────┼──▶ stage rows ──▶ Step: rows, outboxes, timer index,
    sweep   ──▶ decide again ───────────────┘                         transitions, dead letters

A step changes the rows in memory at once and says what must be written, and in which order
(``agents.evaluate.commits``): changelog, then outputs, then the store, then the source offsets. Its parts are
in ``agents.evaluate.partition``; ``agents.evaluate.outgoing`` has what is on its way to Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from agents.evaluate.outgoing import Outgoing
from agents.evaluate.partition.apply import take_records
from agents.evaluate.partition.row_limits import stage_what_fits
from agents.evaluate.partition.state import Partition, Recovered
from agents.evaluate.partition.sweep import Sweep
from agents.evaluate.steps import Draft, Limits, Record, Step
from agents.kafka.placement import MOST_PARTITIONS, Place
from rules.compile.rule_set import RuleSet
from rules.decide.decide import fire
from rules.decide.redefine import redefine
from rules.state.row import Row
from tables.changelog.format import Written
from tables.codec import Checkpoint, Ground, encode_checkpoint, row_key, split_row_key
from tables.meta import StoreMeta, encode_meta
from tables.profiles import Profiles


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
        self._in_step = False
        self._next_rules: RuleSet | None = None

    # -- steps of records ----------------------------------------------------------------------------

    def apply(self, records: Sequence[Record], latest_ms: int | None = None) -> Step:
        """Take records of one source partition, in log order, as one step, however large it gets."""
        draft = self.begin()
        draft.is_bounded = False
        self.feed(draft, records, latest_ms)
        return self.finish(draft)

    def begin(self) -> Draft:
        """A step of several slices: ``begin``, ``feed`` each, ``finish``; no other step meanwhile."""
        self._in_step = True
        return super().begin()

    def feed(self, draft: Draft, records: Sequence[Record], latest_ms: int | None = None) -> int:
        """Take a slice of the records of one source partition; how many were taken (``take_records``)."""
        return take_records(self, draft, records, latest_ms)

    def finish(self, draft: Draft) -> Step:
        """The step that the draft makes. From here on other steps may begin."""
        self.step += 1
        draft, staged = stage_what_fits(self, draft)
        staged.write.notes = self.judge.take_notes()
        self.outgoing.made(self.step, draft)
        # A worker that finds committed offsets and no checkpoint must know that the changelog was lost.
        is_first = not self.is_noted and bool(self.positions.offsets)
        self.is_noted = self.is_noted or is_first
        step = Step(
            number=self.step,
            checkpoint=self._checkpoint(draft.stream_time_ms, draft.positions, draft.prints),
            end_checkpoint=self.checkpoint_now(),
            # What is refused because of its row stays so, whichever records it comes with after a crash.
            must_note=draft.stream_time_moved or is_first or bool(draft.refused),
            staged=staged,
            transitions=draft.transitions,
            transition_keys=draft.keys,
            left=draft.left,
            dead=draft.dead,
            repartitioned=draft.repartitioned,
            counts=draft.counted(),
            accepted=self.place.accepted,
            refused_before=self.refused_before.to_come(draft.positions),
        )
        self._in_step = False
        if self._next_rules is not None:
            rules, self._next_rules = self._next_rules, None
            self.define(rules)
        return step

    # -- steps of time -------------------------------------------------------------------------------

    def punctuate(self, to_ms: int, limit: int) -> Step:
        """Move stream time (never back) and fire the timers that it passed, for at most ``limit`` users."""
        draft = self.begin()
        self.stream_time_ms = stream_time_ms = max(self.stream_time_ms, to_ms)
        due = self.profiles.timers.due(stream_time_ms, limit)
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
            fire(self.rules.project(project), user_id, row, stream_time_ms, draft.transitions)
            if draft.claim(key):
                draft.change(key, timer_ms)
            else:
                draft.move_timer(key, timer_ms)
        if draft.counts.timers == len(due) < limit:
            self.profiles.timers.fired_until(stream_time_ms)
        return self.finish(draft)

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
        self.rules = rules
        self.profiles.define(rules)
        self._sweep.start(self)

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
        row = self.profiles.read(row_key(project, user_id))
        if row is None:
            return None
        rules = self.rules.project(project)
        at_ms = max(at_ms, self.stream_time_ms, row.now_ms)
        if self.sweeping:
            redefine(rules, user_id, row, at_ms, "definition", [], self._sweep.swept_ms)
        if row.timer_ms is not None and row.timer_ms <= at_ms:
            fire(rules, user_id, row, at_ms + 1, [])
        return row

    @property
    def changelog_next(self) -> int:
        """Offset after the last changelog record that is acknowledged, or that recovery has read."""
        return self.outgoing.changelog_next

    @property
    def swept(self) -> str:
        """Fingerprint of the rules under which every row was last looked at."""
        return self._sweep.swept

    def position_of(self, topic: str, partition: int) -> int:
        """Last offset taken of a source partition; -1 when none was."""
        return self.positions.offsets.get(self.place.source(topic, partition), -1)

    def print_of(self, topic: str, partition: int) -> int | None:
        """``record_print`` of that last record; None: it isn't known."""
        return self.positions.prints.get(self.place.source(topic, partition))

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

    def flush(self) -> None:
        """Bring the store up to the changelog. Nothing may be under way."""
        self.profiles.flush(self._meta(self.checkpoint_now()))

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
            StoreMeta(self.outgoing.changelog_next, encode_checkpoint(checkpoint), self._changelog_id)
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
