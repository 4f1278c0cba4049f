"""Which runs there are to be: one for each time and for each request, in order, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from agents.kafka.consumed import Consumed
from agents.pushes.contract.parse import load_pushes
from agents.pushes.engine.book import Book
from agents.pushes.engine.leader import outdated
from agents.pushes.engine.planning import asked_runs, due_runs
from agents.pushes.published import Pushes
from agents.pushes.runs import Ledger, Request, Run, record_of
from agents.registry.leading import NotedRecord
from rules.time.instants import parse_instant

HOUR_MS = 3_600_000
START_MS = parse_instant("2026-11-28T10:00:00Z")


class Lab:
    """A ledger in memory, read again from what was written to it."""

    def __init__(self, schedule: str = "hourly") -> None:
        self.now_ms = START_MS
        self._registry = Pushes("t")
        self.pushes = self._registry.published
        self.publish(schedule)
        self.written: list[NotedRecord] = []
        self.book = self.reopened()

    def publish(self, schedule: str) -> None:
        text = f"{{name: p, audience: a, connection: c, schedule: {schedule}}}"
        for change in self._registry.plan(load_pushes([("p", text)]), self.now_ms):
            self.pushes[change.published.definition.key] = change.published

    def reopened(self) -> Book:
        """As whoever leads next reads it."""
        ledger = Ledger("t")
        for offset, (key, value) in enumerate(self.written):
            assert ledger.take(Consumed("t", 0, offset, 0, key, value, []))

        async def write(records: Sequence[NotedRecord]) -> None:
            self.written += records

        return Book(ledger, write, lambda: self.now_ms)

    def note(self, runs: Sequence[Run], answered: Sequence[Request] = ()) -> None:
        asyncio.run(self.book.note(runs, answered))

    def due(self) -> list[Run]:
        found = due_runs(self.pushes, self.book)
        self.note(found)
        return found

    def end(self, run: Run, state: str = "delivered") -> None:
        asyncio.run(self.book.change(run.id, state=state))


def test_each_time_has_one_run_whoever_leads() -> None:
    lab = Lab()
    assert lab.due() == []
    lab.now_ms += HOUR_MS
    (run,) = lab.due()
    assert (run.state, run.due_ms, run.trigger) == ("queued", START_MS + HOUR_MS, "schedule")
    assert lab.due() == []
    lab.book = lab.reopened()
    assert lab.due() == []
    assert lab.book.runs[run.id] == run


def test_an_edit_brings_no_times_back_and_a_deleted_push_that_comes_again_begins_anew() -> None:
    lab = Lab("once")
    (first,) = lab.due()
    lab.publish("hourly")
    assert lab.due() == []
    key = "default/p"
    gone = lab.pushes[key]
    lab.pushes[key] = gone.gone()
    assert lab.due() == []
    lab.now_ms += 1
    lab.publish("once")
    (second,) = lab.due()
    assert second.generation == 2
    assert second.id != first.id


def test_an_edit_of_all_but_the_schedule_loses_no_time_that_is_due() -> None:
    lab = Lab()
    lab.now_ms += 3 * HOUR_MS
    lab.publish("hourly, description: with words")
    assert [(each.times, each.due_ms) for each in lab.due()] == [(3, START_MS + 3 * HOUR_MS)]
    lab.now_ms += HOUR_MS
    lab.publish("{every: hourly, overlap: skip}")
    assert lab.due() == []


def test_what_is_disabled_has_no_times_and_none_were_missed_when_it_is_enabled() -> None:
    for schedule in ("hourly", "{every: once, missed: skip}"):
        lab = Lab(f"{schedule}, enabled: false")
        lab.now_ms += 3 * HOUR_MS
        assert lab.due() == []
        lab.publish(schedule)
        lab.now_ms += HOUR_MS if schedule == "hourly" else 0
        assert [(each.state, each.times) for each in lab.due()] == [("queued", 1)]


def test_a_time_that_comes_while_the_push_runs_waits_or_is_skipped_and_says_so() -> None:
    lab = Lab()
    lab.now_ms += HOUR_MS
    (first,) = lab.due()
    asyncio.run(lab.book.change(first.id, state="delivering"))
    lab.now_ms += HOUR_MS
    (second,) = lab.due()
    assert second.state == "queued"
    lab.now_ms += HOUR_MS
    (third,) = lab.due()
    assert (third.state, third.reason) == ("skipped", "an earlier run of the schedule still waits")
    skipping = Lab("{every: hourly, overlap: skip}")
    skipping.now_ms += HOUR_MS
    (first,) = skipping.due()
    skipping.now_ms += HOUR_MS
    (second,) = skipping.due()
    assert (second.state, second.reason) == ("skipped", f"run {first.id} was still under way")


def test_missed_times_are_one_run_or_a_note() -> None:
    lab = Lab()
    lab.now_ms += 5 * HOUR_MS
    (run,) = lab.due()
    assert (run.state, run.times, run.due_ms) == ("queued", 5, START_MS + 5 * HOUR_MS)
    lab = Lab("{every: hourly, missed: skip}")
    lab.now_ms += 5 * HOUR_MS + HOUR_MS // 2
    (run,) = lab.due()
    assert (run.state, "missed" in run.reason) == ("skipped", True)


def test_a_request_is_answered_once_also_when_it_is_read_again() -> None:
    lab = Lab()
    request = Request("r1", "run", "default", "p", START_MS)
    lab.written.append(record_of(request))
    lab.book = lab.reopened()
    planned = asked_runs(lab.pushes, lab.book)
    lab.note(planned.runs, planned.answered)
    (run,) = planned.runs
    lab.book.take_request(request)
    assert asked_runs(lab.pushes, lab.book).runs == []
    lab.book = lab.reopened()
    assert lab.book.requests == {}
    again = Request("r2", "repush", "default", "p", START_MS, run.id)
    lab.book.take_request(again)
    (repushed,) = asked_runs(lab.pushes, lab.book).runs
    assert (repushed.of, repushed.trigger, repushed.definition) == (run.id, "repush", run.definition)


def test_only_what_is_under_way_is_cancelled_and_only_what_is_delivered_is_confirmed() -> None:
    lab = Lab("once")
    (run,) = lab.due()
    lab.book.take_request(Request("c", "cancel", "default", "p", START_MS, run.id))
    lab.book.take_request(Request("d", "confirm", "default", "p", START_MS, run.id))
    planned = asked_runs(lab.pushes, lab.book)
    assert ([each.id for each in planned.cancelled], planned.runs) == ([run.id], [])
    lab.end(run)
    planned = asked_runs(lab.pushes, lab.book)
    assert (planned.cancelled, [each.state for each in planned.runs]) == ([], ["confirmed"])
    assert len(planned.answered) == 2


def test_a_reader_may_confirm_its_list_before_it_is_noted_as_delivered_but_no_other_list() -> None:
    lab = Lab("once")
    (run,) = lab.due()
    asyncio.run(lab.book.change(run.id, state="delivering", list_id="l2"))
    lab.book.take_request(Request("old", "confirm", "default", "p", START_MS, run.id, list="l1"))
    lab.book.take_request(Request("new", "confirm", "default", "p", START_MS, run.id, list="l2"))
    planned = asked_runs(lab.pushes, lab.book)
    assert ([each.id for each in planned.answered], planned.runs) == (["old"], [])
    lab.note([], planned.answered)
    lab.end(run)
    planned = asked_runs(lab.pushes, lab.book)
    assert [(each.id, each.state) for each in planned.runs] == [(run.id, "confirmed")]
    assert [each.id for each in planned.answered] == ["new"]


def test_a_run_waits_for_the_definition_that_was_published_before_it_was_asked_for() -> None:
    lab = Lab()
    lab.book.take_request(Request("known", "run", "default", "p", START_MS, version=1))
    lab.book.take_request(Request("edited", "run", "default", "p", START_MS, version=2))
    lab.book.take_request(Request("unknown", "run", "default", "q", START_MS, version=1))
    planned = asked_runs(lab.pushes, lab.book)
    lab.note(planned.runs, planned.answered)
    assert [each.id for each in planned.answered] == ["known"]
    lab.publish("daily")
    planned = asked_runs(lab.pushes, lab.book)
    lab.note(planned.runs, planned.answered)
    assert [(each.version, each.trigger) for each in planned.runs] == [(2, "manual")]
    lab.now_ms += HOUR_MS
    planned = asked_runs(lab.pushes, lab.book)
    assert ([each.id for each in planned.answered], planned.runs) == (["unknown"], [])


def test_old_runs_go_but_the_last_time_of_a_schedule_stays() -> None:
    lab = Lab("once")
    (run,) = lab.due()
    lab.end(run)
    done = lab.book.runs[run.id]
    others = [
        replace(done, id=f"m{number}", trigger="manual", created_ms=START_MS + number)
        for number in range(1, 6)
    ]
    assert [each.id for each in outdated([done, *others], 2)] == ["m1", "m2", "m3"]


def test_runs_are_found_by_push_and_id_and_what_is_gone_is_not_but_its_time_stays_known() -> None:
    lab = Lab()
    lab.now_ms += HOUR_MS
    (first,) = lab.due()
    lab.end(first)
    lab.now_ms += HOUR_MS
    (second,) = lab.due()
    asyncio.run(lab.book.forget([first]))
    for found in (lab.book, lab.reopened()):
        assert [each.id for each in found.index.of_push("default/p")] == [second.id]
        assert [each.id for each in found.unfinished] == [second.id]
        assert found.index.last_due_ms("default/p", 1) == second.due_ms
        assert list(found.runs) == [second.id]
    asyncio.run(lab.book.forget([second]))
    assert lab.book.index.last_due_ms("default/p", 1) == second.due_ms
    assert lab.due() == []
