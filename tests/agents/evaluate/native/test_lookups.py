"""The core answers lookups while it computes, and from the store what isn't in memory."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from msgspec import Raw

from agents.evaluate.native.pipeline import NativePipeline
from agents.evaluate.native.store_reads import StoreReads
from agents.evaluate.question import Question
from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from app.lookup.answers import MembershipShown, UserLookedUp, as_shown
from tables.memory_store import MemoryStore
from tables.row_store import Write
from tables.store import RocksMemory, RocksStore
from tables.store_faults import StoreClosed
from tests.core.engines import is_built, native_engine
from tests.driver.partition import Rec
from tests.stage.compare import rules_of

pytestmark = pytest.mark.skipif(not is_built(), reason="the native core isn't built: `make core`")

T = 1_700_000_000_000
RULES = """
audiences:
  - {id: viewers, name: Viewers, rule: {event: view}}
  - {id: brief, name: Brief, rule: {event: view, within: 10s}}
"""
ALL = Question("default", None, T)


@pytest.fixture
def pipeline(tmp_path: Path) -> NativePipeline:
    store = RocksStore(tmp_path / "store", RocksMemory.of(1 << 20, 1 << 22))
    made = native_engine().pipeline(Place(0, 1), store, Limits(), 10)
    made.define(rules_of(RULES))
    while made.sweeping:
        made.durable([made.sweep(100)])
    assert isinstance(made, NativePipeline)
    return made


def views(users: range, first_offset: int = 0) -> list[Any]:
    values = [(f"u{each}", json.dumps({"user_id": f"u{each}", "event": "view"}).encode()) for each in users]
    return [
        Rec("events", 0, first_offset + at, T, name.encode(), value)
        for at, (name, value) in enumerate(values)
    ]


def told(pipeline: NativePipeline, question: Question, *users: str) -> list[UserLookedUp]:
    found = asyncio.run(pipeline.tell(question, users))
    assert found is not None
    return [as_shown(Raw(each)) for each in found]


def looks_during_a_slice(pipeline: NativePipeline, records: list[Any]) -> int:
    """How many lookups are answered while another thread takes these records."""
    draft = pipeline.begin()
    parts = pipeline.feeding(draft, records, None)
    job: Any = next(parts)
    read, take_read = job.args
    found = read()  # so that only the taking is looked at
    take = partial(job.func, lambda: found, take_read)
    taken: list[object] = []

    def run(job: Callable[[], object]) -> None:
        taken.append(job())

    async def look() -> int:
        thread, looks = Thread(target=run, args=(take,)), 0
        thread.start()
        while not taken:
            await pipeline.tell(ALL, ["u1"])
            looks += not taken
        thread.join()
        return looks

    looks = asyncio.run(look())
    with pytest.raises(StopIteration):
        parts.send(taken[0])
    pipeline.durable([pipeline.finish(draft)])
    return looks


def test_a_lookup_does_not_wait_for_the_end_of_a_slice(pipeline: NativePipeline) -> None:
    pipeline.durable([pipeline.apply(views(range(10)))])
    # A machine may be so busy that a slice is taken before anybody asks: then a longer one is taken.
    slices = (views(range(8_000 << each), 10 + (8_000 << each)) for each in range(5))
    assert any(looks_during_a_slice(pipeline, each) >= 4 for each in slices)


def test_rows_that_are_only_in_the_store_are_told_as_those_in_memory(pipeline: NativePipeline) -> None:
    pipeline.durable([pipeline.apply(views(range(500)))])
    pipeline.flush()
    pipeline.durable([pipeline.apply(views(range(600, 601), 500))])  # lets go of what wasn't used
    users = [f"u{each}" for each in range(500)]
    question = Question("default", ["brief"], T + 10_000)
    before = pipeline.profiles.cached_rows
    assert before < 500
    for each in told(pipeline, question, *users):
        assert (each.status, each.memberships) == ("ok", {"brief": MembershipShown(False, None, None)})
    assert {"viewers", "brief"} == told(pipeline, ALL, "u7")[0].memberships.keys()
    assert told(pipeline, ALL, "nobody")[0].status == "unknown_user"
    assert pipeline.profiles.cached_rows == before, "lookups leave the memory to the steps"


def test_a_partition_that_goes_while_its_store_is_asked_answers_nothing(pipeline: NativePipeline) -> None:
    pipeline.close()
    with pytest.raises(StoreClosed):
        told(pipeline, ALL, "u1")


async def test_what_is_asked_while_a_store_is_read_is_read_together() -> None:
    reads, jobs = StoreReads(), Counter[str]()

    class Slow(MemoryStore):
        def get_many_aside(self, keys: list[bytes]) -> list[bytes | None]:
            jobs[threading.current_thread().name] += 1
            if keys == [b"closed"]:
                raise StoreClosed
            return super().get_many_aside(keys)

    store = Slow()
    store.write(Write(rows=[(b"u1", b"row")]))
    found = await asyncio.gather(
        *(reads.get_many(store, [key]) for key in (b"u1", b"closed", b"u2")), return_exceptions=True
    )
    assert (found[0], found[2]) == ([b"row"], [None])
    assert isinstance(found[1], StoreClosed), "it is told where it was asked, and nowhere else"
    assert list(jobs.values()) == [3], "one thread, once"
