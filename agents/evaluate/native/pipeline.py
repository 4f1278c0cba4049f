"""The pipeline whose ordinary work the core does: slices of native records, and timers.

Grafts, sweeps, other formats, repartitioned records and rows that are too large are Python's, on the same
rows (``agents.evaluate.native.rows``); so is all of it while the core doesn't know a rule. Both kinds of work
end in one step of the core, so rows and transitions are in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from agents.evaluate.jobs import Parts, run_here
from agents.evaluate.native.core import Core
from agents.evaluate.native.odd import OddRecords, SeveralParts, read_odd
from agents.evaluate.native.rows import NativeProfiles
from agents.evaluate.native.steps import NativeDraft, NativeOutgoing, staged
from agents.evaluate.native.store_reads import StoreReads
from agents.evaluate.partition.apply import attributes_too_large
from agents.evaluate.partition.intake import letter_of
from agents.evaluate.partition.row_limits import allowed_bytes, stage_what_fits
from agents.evaluate.partition.state import Recovered
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.question import Question
from agents.evaluate.steps import Draft, Limits, Record, Step
from agents.kafka.placement import Place
from agents.kafka.raw.records import RawRecords
from rules.compile.rule_set import RuleSet
from tables.changelog.format import largest_row_bytes
from tables.codec import row_key
from tables.profiles import ANY_BYTES, RowsTooLarge, Staged
from tables.row_store import Timer

if TYPE_CHECKING:
    from turnstile_core import Fetched, Rules

NATIVE_SLICE: Final = 1_500
"""Some milliseconds; each slice is a job for a thread."""
NATIVE_SLICE_BYTES: Final = 512 * 1024
Taken: TypeAlias = tuple[int, int, list[tuple[int, str]], list[tuple[int, int]], bool]
"""As ``Partition.take`` of the core gives it."""


class NativePipeline(Pipeline):
    """``native_rules`` gives rules as the core has them; None: it doesn't know all of them."""

    def __init__(
        self,
        place: Place,
        profiles: NativeProfiles,
        limits: Limits,
        recovered: Recovered | None,
        core: Core,
        native_rules: Callable[[RuleSet], Rules | None],
        reads: StoreReads,
    ) -> None:
        super().__init__(place, profiles, limits, recovered)
        self._core = profiles.core
        self._rows = profiles
        self._fetched, self._stamp, self._asked = core.Fetched, core.stamp, core.Asked
        self._native_rules = native_rules
        self._reads = reads
        self._knows_rules = False
        self.outgoing = NativeOutgoing(
            recovered or Recovered(), limits.changelog_bytes, self._core, core.stamp
        )

    @property
    def slice_records(self) -> int:
        return NATIVE_SLICE if self._knows_rules else super().slice_records

    @property
    def slice_bytes(self) -> int:
        return NATIVE_SLICE_BYTES if self._knows_rules else super().slice_bytes

    def _use(self, rules: RuleSet) -> None:
        super()._use(rules)
        native = self._native_rules(self.rules)
        self._knows_rules = native is not None
        if native is not None:
            self._core.define(native)

    def begin(self) -> NativeDraft:
        draft = super().begin()
        self._core.begin(self.stream_time_ms, self.epoch)
        return NativeDraft(
            draft.stream_time_ms, draft.positions, draft.prints, core=self._core, stamp=self._stamp
        )

    # -- records -------------------------------------------------------------------------------------

    def feed(self, draft: Draft, records: Sequence[Record], latest_ms: int | None = None) -> int:
        return run_here(self.feeding(draft, records, latest_ms))

    def feeding(self, draft: Draft, records: Sequence[Record], latest_ms: int | None) -> Parts[int]:
        if isinstance(draft, NativeDraft) and self._is_ordinary(records, latest_ms):
            try:
                return (yield from self._take(draft, records))
            except SeveralParts:
                pass
        taken = super().feed(draft, records, latest_ms)
        self._core.set_stream_time(self.stream_time_ms)
        return taken

    def _is_ordinary(self, records: Sequence[Record], latest_ms: int | None) -> bool:
        """Whether the core may compute a slice of one source partition."""
        if not (records and self._knows_rules and self.grafting is None):
            return False
        place, first = self.place, records[0]
        if first.topic == place.repartition_topic or first.topic in self.limits.formats:
            return False
        source = place.source(first.topic, first.partition)
        if isinstance(records, RawRecords):
            last_ms = records.last_timestamp_ms or 0
        else:
            last_ms = max([each.timestamp for each in records])
        return self.judge.takes_all(source, last_ms, self.stream_time_ms, latest_ms)

    def _take(self, draft: NativeDraft, records: Sequence[Record]) -> Parts[int]:
        """Have the core take a slice; how many records it took. Raises SeveralParts, and nothing is taken."""
        core, place, first = self._core, self.place, records[0]
        source = place.source(first.topic, first.partition)
        self._hand_over(draft)
        time_before_ms = self.stream_time_ms
        refused_before = self.refused_before.offsets(records)
        floor = self.positions.recovered.get(source, -1)
        take = partial(core.take, source, floor, refused_before, not draft.is_bounded)
        read = partial(core.read, *self._raw(records))
        at_odd, missing, found = yield partial(self._read_and_take, read, take)
        odd = read_odd(place, records, at_odd, self.limits)
        if found is None:
            replaced = [core.replace(at, record) for at, record in odd.read]
            found = yield partial(self._bring_and_take, [*missing, *filter(None, replaced)], take)
        taken: int
        taken, stream_time_ms, elsewhere, refused, _ = found
        self.stream_time_ms = max(self.stream_time_ms, stream_time_ms)
        self._note_odd(draft, odd, taken)
        for at, user_id in elsewhere:
            draft.repartitioned.append((user_id, records[at], place.origin(records[at])))
        for at, size in refused:
            refusal = attributes_too_large(size, self.limits.max_attributes_bytes)
            draft.refuse(letter_of(place, records[at], refusal))
        records = records[:taken]
        self.positions.take(source, records[-1])
        self.judge.judged_to(source, records[-1].offset)
        draft.take(records)
        draft.stream_time_moved = draft.stream_time_moved or self.stream_time_ms > time_before_ms
        return taken

    def _read_and_take(
        self, read: Callable[[], tuple[list[int], list[bytes]]], take: Callable[[], Taken]
    ) -> tuple[list[int], list[bytes], Taken | None]:
        """Read a slice, and take it, unless some of it is for Python to read: (odd records, rows that are not
        in memory, what was taken). In any thread."""
        at_odd, missing = read()
        return at_odd, missing, None if at_odd else self._bring_and_take(missing, take)

    def _bring_and_take(self, missing: list[bytes], take: Callable[[], Taken]) -> Taken:
        """Likewise."""
        self._rows.bring(missing)
        return self._rows.checked(take)

    def _raw(self, records: Sequence[Record]) -> tuple[Fetched, int, int]:
        """The records as the core takes them: a fetch, and where they begin and end in it."""
        if isinstance(records, RawRecords):
            return records.fetched, records.start, records.end
        given = [(each.offset, each.timestamp, each.key, each.value) for each in records]
        return self._fetched.of(given), 0, len(given)

    @staticmethod
    def _note_odd(draft: Draft, odd: OddRecords, taken: int) -> None:
        """Of the odd records that were taken, what goes out."""
        draft.dead += [letter for at, letter in odd.letters if at < taken]
        draft.counts.skipped += sum(at < taken for at in odd.skipped)

    # -- time ----------------------------------------------------------------------------------------

    def _firing(self, draft: Draft, due: Sequence[Timer]) -> Parts[int]:
        if not (isinstance(draft, NativeDraft) and self._knows_rules and self.grafting is None):
            return super()._fire(draft, due)
        self._rows.let_go()
        self._core.set_stream_time(self.stream_time_ms)
        draft.due = due
        looked: int
        looked, stale = yield partial(self._fired, due, not draft.is_bounded)
        draft.stale += stale
        return looked

    def _fired(self, due: Sequence[Timer], is_unbounded: bool) -> tuple[int, list[Timer]]:
        """Fire timers in the core: how many, and those that are no row's. In any thread."""
        self._rows.bring([key for _, key in due])
        return self._rows.checked(self._core.fire, list(due), is_unbounded)

    # -- reading -------------------------------------------------------------------------------------

    @property
    def tells(self) -> bool:
        """The core can answer lookups: every row has the states of the rules that it has."""
        is_whole = self._knows_rules and self.grafting is None and not self.sweeping
        return is_whole and self._asked is not None

    def tell_now(self, question: Question, user_ids: Sequence[str]) -> list[bytes] | None:
        """As in ``Pipeline``, where all rows are in memory."""
        if not self.tells or self._asked is None:
            return None
        found = self._rows.checked(self._core.look, self._asked(*question), user_ids)
        known = [each for each in found if each is not None]
        return known if len(known) == len(found) else None

    async def tell(self, question: Question, user_ids: Sequence[str]) -> list[bytes] | None:
        """As in ``Pipeline``. Rows that aren't in memory are read in another thread."""
        if not self.tells or self._asked is None:
            return None
        rules, asked = self.rules, self._asked(*question)
        found = self._rows.checked(self._core.look, asked, user_ids)
        missing = [user_id for user_id, each in zip(user_ids, found, strict=True) if each is None]
        if missing:
            keys = [row_key(question.project, each) for each in missing]
            values = await self._reads.get_many(self._rows.store, keys)
            if not self.tells or self.rules is not rules:
                return None
            stored = self._rows.as_written_today(keys, values)
            told = iter(self._rows.checked(self._core.look, asked, missing, stored))
            found = [each if each is not None else next(told) for each in found]
        return [each for each in found if each is not None]

    # -- the end of a step ---------------------------------------------------------------------------

    def finishing(self, draft: Draft) -> Parts[Step]:
        has_python = bool(draft.changed or draft.local or draft.transitions)  # that is handed over first
        if isinstance(draft, NativeDraft) and not has_python:
            most_bytes = allowed_bytes(self.limits, draft)
            draft.ahead = yield partial(self._core.finish, self.step + 1, most_bytes, draft.stale)
        return self.finish(draft)

    def stage(self, draft: Draft, most_bytes: int) -> Staged:
        assert isinstance(draft, NativeDraft)
        found, draft.ahead = draft.ahead, None
        if found is None:
            self._rows.hand_over(draft, most_bytes)
            found = self._core.finish(self.step, most_bytes, draft.stale)
        if isinstance(found, list):
            raise RowsTooLarge(found)
        draft.handed_over()
        draft.made = found
        return staged(found, draft.stale)

    def rewind(self, draft: Draft) -> None:
        super().rewind(draft)
        self._core.rewind()
        self._rows.let_go()

    def durable(self, steps: Sequence[Step]) -> None:
        super().durable(steps)
        if steps:
            self._core.durable(steps[-1].number)

    def _staged(self, draft: Draft) -> tuple[Draft, Staged]:
        if not (isinstance(draft, NativeDraft) and draft.due):
            return stage_what_fits(self, draft)
        try:
            return draft, self.stage(draft, largest_row_bytes(self.limits.changelog_bytes))
        except RowsTooLarge:  # Python knows what to do
            stream_time_ms = self.stream_time_ms
            self.rewind(draft)
            made = self.begin()
            self.stream_time_ms = stream_time_ms
            super()._fire(made, draft.due)
            return stage_what_fits(self, made)

    def _hand_over(self, draft: NativeDraft) -> None:
        """The core computes next, on rows as Python left them."""
        self._rows.hand_over(draft, ANY_BYTES)  # sizes are looked at when the step ends
        draft.handed_over()
        self._rows.let_go()
