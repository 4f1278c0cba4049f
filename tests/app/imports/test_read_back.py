"""What was imported, as the computation of a new definition reads it: by time, each record once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from agents.backfill.history.extent import Extent
from agents.backfill.history.history import History
from agents.backfill.history.imports import runs_of
from agents.backfill.history.reader import history_consumer
from agents.kafka.clients import new_consumer, new_producer
from app.imports import writing
from tests.app.imports.lab import START_MS, ImportLab, line
from tests.app.imports.test_import import Stopped, ordered, some_lines, stop_after

Shown = list[tuple[int, str, object]]


async def taken(lab: ImportLab, partition: int, most: int, from_ms: int | None = None) -> Shown:
    """What the history of a partition gives."""
    tp = TopicPartition(lab.topic, partition)
    async with new_consumer(lab.broker) as consumer:
        end = (await consumer.end_offsets([tp]))[tp]
    runs = runs_of(lab.topic, partition, 0, end, await lab.imports())
    history = History(lambda: history_consumer(lab.broker), Extent(from_ms, tuple(runs), ()))
    found: Shown = []
    offsets: list[int] = []
    try:
        while not history.is_at_end:
            for record in history.next_run(most) or ():
                value = json.loads(record.value or b"")
                found.append((record.timestamp, (record.key or b"").decode(), value["properties"]))
                offsets.append(record.offset)
            await history.fetch()
    finally:
        await history.close()
    assert offsets == list(range(len(found)))
    return found


def imported(lab: ImportLab, name: str, lines: Iterable[str]) -> str:
    code, out = lab.run(lab.file(name, lines))
    assert code == 0, out
    return out


@pytest.mark.parametrize("most", [1, 7, 1000])
async def test_imports_in_any_order_of_time_are_one_history(
    kafka: str, topic_prefix: str, tmp_path: Path, most: int
) -> None:
    """Later ones first, earlier ones after, and one across both: offsets go back, times don't."""
    lab = ImportLab(kafka, topic_prefix, tmp_path, partitions=1)
    logs = [some_lines(40, seed, START_MS + begin) for seed, begin in ((1, 1000), (2, 0), (3, 10), (4, 5000))]
    for number, lines in enumerate(logs):
        await asyncio.to_thread(imported, lab, f"{number}", lines)
    (expected,) = ordered([each for lines in logs for each in lines], 1)
    assert await taken(lab, 0, most) == expected
    since = START_MS + 12
    assert await taken(lab, 0, most, since) == [each for each in expected if each[0] >= since]


async def test_only_complete_imports_and_each_record_once(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside an import that was given up, a record of another program, and late ones of a dead process."""
    lab = ImportLab(kafka, topic_prefix, tmp_path, partitions=1)
    given_up, kept = some_lines(50, 1), some_lines(60, 2)
    stop_after(monkeypatch, 30)
    with pytest.raises(Stopped):
        await asyncio.to_thread(lab.run, lab.file("a", given_up))
    monkeypatch.undo()
    await asyncio.to_thread(lab.run, lab.file("b", []), "--abandon")
    await lab.send(lab.topic, 0, "foreign", START_MS - 1)
    before = await lab.records()
    stop_after(monkeypatch, 30)
    with pytest.raises(Stopped):
        await asyncio.to_thread(lab.run, lab.file("c", kept))
    monkeypatch.undo()
    missing = before + len(kept) - await lab.records()
    await written_again(lab, 20)
    for _ in range(5):
        await lab.send(lab.topic, 0, "foreign", START_MS - 1)
    monkeypatch.setattr(writing, "WINDOW_RECORDS", 2)
    written = await lab.records()
    out = await asyncio.to_thread(imported, lab, "c", kept)
    assert "60 records" in out
    assert await lab.records() == written + missing, "nothing was written twice"
    found = await taken(lab, 0, 10)
    (expected,) = ordered(kept, 1)
    assert found == [(START_MS - 1, "foreign", {})] * 6 + expected


async def written_again(lab: ImportLab, last: int) -> None:
    """The last records of the history topic once more, as a producer whose process is dead may write them."""
    tp = TopicPartition(lab.topic, 0)
    async with new_consumer(lab.broker) as consumer, new_producer(lab.broker, idempotence=False) as producer:
        end = (await consumer.end_offsets([tp]))[tp]
        consumer.assign([tp])
        consumer.seek(tp, end - last)
        records = (await consumer.getmany(tp, timeout_ms=5_000)).get(tp, [])
        for each in records[:last]:
            await producer.send_and_wait(
                lab.topic, each.value, each.key, 0, each.timestamp, headers=list(each.headers)
            )


async def test_an_import_of_one_user_says_what_the_stream_would_have_said(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    lab = ImportLab(kafka, topic_prefix, tmp_path, partitions=2)
    lines = [line("u", START_MS + each % 3, number=each) for each in range(9)]
    await asyncio.to_thread(imported, lab, "a", lines)
    both = [await taken(lab, each, 2) for each in range(2)]
    assert sorted(both) == sorted(ordered(lines, 2))
