"""``turnstile import`` on a real broker: all of it, once, in the order of time, whatever happens."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
import zstandard

from agents.kafka.clients import new_admin
from agents.kafka.placement import partition_of
from agents.topics.make import create_topics
from app.imports import sorting, writing
from tests.app.imports.lab import START_MS, ImportLab, Read, line


@pytest.fixture
def lab(kafka: str, topic_prefix: str, tmp_path: Path) -> ImportLab:
    return ImportLab(kafka, topic_prefix, tmp_path)


def some_lines(count: int, seed: int = 0, from_ms: int = START_MS) -> list[str]:
    """Out of order, with equal times."""
    random = Random(seed)
    return [
        line(f"u{random.randint(0, 40)}", from_ms + random.randint(0, count // 2), number=number, seed=seed)
        for number in range(count)
    ]


def ordered(lines: Iterable[str], partitions: int) -> list[list[tuple[int, str, object]]]:
    """What must be read of each partition: by time, ties as the file has them."""
    found: list[list[tuple[int, str, object]]] = [[] for _ in range(partitions)]
    for each in map(json.loads, lines):
        at = found[partition_of(each["user_id"], partitions)]
        at.append((each["time"], each["user_id"], each["properties"]))
    return [sorted(each, key=lambda record: record[0]) for each in found]


def shown(history: list[list[Read]]) -> list[list[tuple[int, str, object]]]:
    return [[(each.timestamp, each.key, each.value["properties"]) for each in part] for part in history]


async def test_the_same_files_twice_are_there_once_in_the_order_of_time(lab: ImportLab) -> None:
    lines = some_lines(300)
    file = lab.file("a.jsonl", lines)
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 0, out
    assert f"300 records of 1 file into {lab.topic}, from 2020-09-13" in out
    assert "turnstile audiences rebuild --all" in out
    assert shown(await lab.history()) == ordered(lines, 3)
    renamed = file.rename(lab.folder / "b.json")
    packed = lab.folder / "c.gz"
    packed.write_bytes(gzip.compress(renamed.read_bytes()))
    code, out = await asyncio.to_thread(lab.run, renamed, packed)
    assert code == 0
    assert out.count("everything in it was imported before") == 2
    assert await lab.records() == 300
    assert len(await lab.imports()) == 1


async def test_packed_files_and_folders_are_read(lab: ImportLab) -> None:
    first, second, third = some_lines(20, 1), some_lines(20, 2), some_lines(20, 3)
    folder = lab.folder / "history"
    lab.file("history/plain.jsonl", first)
    lab.file("history/.hidden", ["{"])
    (folder / "deep").mkdir()
    (folder / "deep" / "b.gz").write_bytes(
        gzip.compress("\n".join(second[:9]).encode() + b"\n") + gzip.compress("\n".join(second[9:]).encode())
    )
    frames = [zstandard.compress(f"{each}\n".encode()) for each in third]
    (folder / "deep" / "c.zst").write_bytes(b"".join(frames))
    code, out = await asyncio.to_thread(lab.run, folder)
    assert code == 0, out
    assert "60 records of 3 files" in out
    assert [sorted(map(str, each)) for each in shown(await lab.history())] == [
        sorted(map(str, each)) for each in ordered([*first, *second, *third], 3)
    ]


async def test_csv_is_read_with_its_columns(lab: ImportLab) -> None:
    rows = [
        "customer;event;when;price",
        "u1;buy;2020-01-02T00:00:00Z;12.5",
        "u2;buy;2020-01-01;7",
        ";buy;2020;1",
    ]
    file = lab.file("a.csv", rows)
    options = ("--format", "csv", "--column", "user_id=customer", "--column", "time=when")
    code, out = await asyncio.to_thread(lab.run, file, *options)
    assert code == 3
    assert "a.csv:4: " in out
    (one,), (two,) = [each for each in sorted(await lab.history(), key=lambda each: str(each[:1])) if each]
    assert {one.key, two.key} == {"u1", "u2"}
    by_key = {each.key: each for each in (one, two)}
    assert by_key["u1"].value["properties"] == {"price": 12.5}
    assert by_key["u2"].timestamp == 1_577_836_800_000
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 2
    assert "was imported before, but read as csv time=when user_id=customer, not as native" in out


async def test_another_source_format_becomes_native_records(lab: ImportLab) -> None:
    call = {"type": "track", "userId": "u1", "event": "Order", "timestamp": "2020-01-02T03:04:05Z"}
    traits = {
        "type": "identify",
        "userId": "u1",
        "traits": {"plan": "pro"},
        "timestamp": "2020-01-01T00:00:00Z",
    }
    file = lab.file(
        "a.jsonl", [json.dumps({"batch": [call, traits]}), json.dumps({**call, "timestamp": None})]
    )
    code, out = await asyncio.to_thread(lab.run, file, "--format", "segment")
    assert code == 3
    assert "a.jsonl:2: timestamp: nothing says when it happened" in out
    (both,) = [each for each in await lab.history() if each]
    assert [each.value for each in both] == [
        {"user_id": "u1", "type": "profile", "time": "2020-01-01T00:00:00Z", "set": {"plan": "pro"}},
        {"user_id": "u1", "event": "Order", "time": "2020-01-02T03:04:05Z", "properties": {}},
    ]


async def test_a_file_that_grew_gives_only_what_is_new(lab: ImportLab) -> None:
    lines = some_lines(30)
    cut = lab.file("log.jsonl", lines[:20], end="\n" + lines[20][:15])
    code, out = await asyncio.to_thread(lab.run, cut)
    assert code == 3
    assert "log.jsonl:21: cut: the last line has no line end, and can't be read" in out
    assert "20 records" in out
    code, out = await asyncio.to_thread(lab.run, cut)
    assert code == 3, "it is still cut short"
    whole = lab.file("log.jsonl", lines, end="")
    code, out = await asyncio.to_thread(lab.run, whole)
    assert code == 0, out
    assert "10 records" in out
    assert shown(await lab.history()) == ordered(lines, 3)
    assert await lab.records() == 30
    code, out = await asyncio.to_thread(lab.run, whole)
    assert "everything in it was imported before" in out


async def test_of_files_that_begin_alike_each_record_is_taken_once(lab: ImportLab) -> None:
    lines = some_lines(30)
    longer, shorter, same = (lab.file(name, lines[:end]) for name, end in (("a", 30), ("b", 10), ("c", 30)))
    code, out = await asyncio.to_thread(lab.run, longer, shorter, same)
    assert code == 0, out
    assert await lab.records() == 30
    assert shown(await lab.history()) == ordered(lines, 3)


async def test_imports_that_overlap_in_time_are_one_history(lab: ImportLab) -> None:
    newer, older = some_lines(200, 1), some_lines(200, 2, START_MS - 50)
    for name, lines in (("newer", newer), ("older", older)):
        code, out = await asyncio.to_thread(lab.run, lab.file(name, lines))
        assert code == 0, out
    assert shown(await lab.history()) == ordered([*newer, *older], 3)
    assert len(await lab.imports()) == 2


async def test_what_is_not_before_the_sources_is_refused_by_partition(lab: ImportLab) -> None:
    """The user of one partition is known to the live stream, the other's isn't."""
    events = f"{lab.prefix}.events"
    admin = new_admin(lab.broker)
    await admin.start()
    try:
        await create_topics(admin, {events: (lab.partitions, {"retention.ms": "-1"})}, 1)
    finally:
        await admin.close()
    known = next(f"k{each}" for each in range(99) if partition_of(f"k{each}", 3) == 1)
    unknown = next(f"n{each}" for each in range(99) if partition_of(f"n{each}", 3) == 2)
    await lab.send(events, 1, known, START_MS)
    await lab.send(events, 1, known, START_MS - 5_000)
    now_ms = time.time_ns() // 1_000_000
    lines = [
        line(known, START_MS - 1),
        line(known, START_MS),
        line(known, START_MS + 1),
        line(unknown, START_MS + 1),
        line(unknown, now_ms + 60_000),
    ]
    code, out = await asyncio.to_thread(lab.run, lab.file("a.jsonl", lines))
    assert code == 3, out
    for number in (2, 3, 5):
        assert f"a.jsonl:{number}: not_before_sources: " in out
    assert "the sources of its partition begin at 2020-09-13T12:26:40.000Z" in out
    kept = [[(each.key, each.timestamp) for each in part] for part in await lab.history()]
    assert kept == [[], [(known, START_MS - 1)], [(unknown, START_MS + 1)]]


async def test_bad_lines_are_told_with_their_place_and_strict_ends_before_anything_is_written(
    lab: ImportLab,
) -> None:
    good = line("u1", START_MS)
    bad = [
        "{",
        json.dumps({"user_id": "u1", "event": "x"}),
        line("u" * 513, START_MS),
        line("u", -5),
    ]
    file = lab.file("a.jsonl", [good, *bad, "", good])
    code, out = await asyncio.to_thread(lab.run, file, "--strict")
    assert code == 2
    assert "nothing was written, because of --strict" in out
    assert await lab.records() == 0
    assert await lab.imports() == []
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 3
    for number, reason in ((2, "not_json"), (3, "timestamp"), (4, "user_id"), (5, "timestamp")):
        assert f"a.jsonl:{number}: {reason}: " in out
    assert "4 bad lines" in out
    assert await lab.records() == 2, "two equal lines of a file are two records"


@pytest.mark.slow
async def test_an_import_that_was_killed_is_completed_by_the_same_command(lab: ImportLab) -> None:
    lines = some_lines(120_000)
    half = len(lines) // 2
    lines[0], lines[half] = line("u1", START_MS - 2), line("u1", START_MS - 1)  # says which file comes first
    files = [lab.file("a.jsonl", lines[:half]), lab.file("b.jsonl", lines[half:])]
    cut_short = 0
    for _ in range(4):
        process = lab.start(*files, "--buffer", "2MiB")
        before = await records_or_none(lab)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if await records_or_none(lab) > before + 20_000:
                process.kill()
                break
            await asyncio.sleep(0.02)
        code, said = await asyncio.to_thread(lab.end, process)
        if code != -signal.SIGKILL:
            assert code == 0, said
            break
        (begun,) = await lab.imports()
        if begun.state == "done":  # killed on its way out
            break
        assert begun.state == "writing"
        assert shown(await lab.history()) == [[], [], []], "it counts for nobody yet"
        cut_short += 1
    assert cut_short
    code, out = await asyncio.to_thread(lab.run, *reversed(files))
    assert code == 0, out
    assert shown(await lab.history()) == ordered(lines, 3)


async def records_or_none(lab: ImportLab) -> int:
    try:
        return await lab.records()
    except Exception:
        return 0


async def test_an_import_that_is_not_complete_is_completed_first_or_given_up(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short in each partition in turn."""
    lines, others = some_lines(90), some_lines(10, 7)
    file, other = lab.file("a.jsonl", lines), lab.file("b.jsonl", others)
    written = [0]
    for stop in (0, 14, 30, 30):
        stop_after(monkeypatch, stop)
        with pytest.raises(Stopped):
            await asyncio.to_thread(lab.run, file)
        written.append(await lab.records())
    assert sorted(written) == written
    assert 50 < written[-1] < 90
    monkeypatch.undo()
    code, out = await asyncio.to_thread(lab.run, other)
    assert code == 2
    assert "isn't complete. Give its files again" in out
    assert str(file) in out
    code, out = await asyncio.to_thread(lab.run, other, file)
    assert code == 0, out
    assert [each.state for each in await lab.imports()] == ["done", "done"]
    assert await lab.records() == 100, "nothing was written twice"
    assert shown(await lab.history()) == [
        sorted(a + b, key=lambda record: record[0])
        for a, b in zip(ordered(lines, 3), ordered(others, 3), strict=True)
    ]


async def test_users_who_were_erased_are_left_out_also_when_the_import_goes_on_after_that(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = some_lines(90)
    first, second = (json.loads(each)["user_id"] for each in sorted(lines)[:2])
    file = lab.file("a.jsonl", lines)
    await lab.erase(first)
    stop_after(monkeypatch, 30)
    with pytest.raises(Stopped):
        await asyncio.to_thread(lab.run, file)
    monkeypatch.undo()
    await lab.erase(second)
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 0, out
    gone = [each for each in lines if json.loads(each)["user_id"] in (first, second)]
    assert f"{len(gone)} records left out, because their users were erased" in out
    kept = [each for each in lines if each not in gone]
    found = [[each for each in part if each[1] != second] for part in shown(await lab.history())]
    assert found == ordered(kept, 3)
    assert first not in {each.key for part in await lab.history() for each in part}
    assert await asyncio.to_thread(lab.run, file) == (
        0,
        f"{file}: everything in it was imported before\nnothing to import\n",
    )


async def test_an_import_that_was_given_up_counts_for_nobody_and_can_begin_anew(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, others = some_lines(90), some_lines(10, 7)
    file, other = lab.file("a.jsonl", lines), lab.file("b.jsonl", others)
    stop_after(monkeypatch, 50)
    with pytest.raises(Stopped):
        await asyncio.to_thread(lab.run, file)
    monkeypatch.undo()
    code, out = await asyncio.to_thread(lab.run, other, "--abandon")
    assert code == 0, out
    assert shown(await lab.history()) == ordered(others, 3)
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 0, out
    assert "90 records" in out
    assert sum(map(len, await lab.history())) == 100


class Stopped(Exception):
    """In place of a kill."""


def stop_after(monkeypatch: pytest.MonkeyPatch, records: int) -> None:
    """End the next import after it has written so many more records, or a few less."""
    monkeypatch.undo()
    monkeypatch.setattr(writing, "AT_ONCE_RECORDS", 7)
    acknowledged = writing.Batches.acknowledged
    left = records

    async def stopped(self: writing.Batches) -> int:
        nonlocal left
        left -= 7
        if left < 0:
            raise Stopped
        return await acknowledged(self)

    monkeypatch.setattr(writing.Batches, "acknowledged", stopped)


async def test_memory_for_sorting_is_bounded_and_nothing_is_lost_by_it(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "MOST_RUNS", 3)
    lines = [line(f"u{number % 7}", START_MS - number * 10, text="x" * 1000) for number in range(10_000)]
    code, out = await asyncio.to_thread(lab.run, lab.file("a.jsonl", lines), "--buffer", "1MiB")
    assert code == 0, out
    assert shown(await lab.history()) == ordered(lines, 3)


async def test_two_processes_with_the_same_files_at_once_give_each_record_once(lab: ImportLab) -> None:
    lines = some_lines(3_000)
    file = lab.file("a.jsonl", lines)
    both = [lab.start(file), lab.start(file)]
    ended = await asyncio.gather(*(asyncio.to_thread(lab.end, each) for each in both))
    assert any(code == 0 for code, _ in ended), ended
    assert not any("Traceback" in out for _, out in ended)
    assert shown(await lab.history()) == ordered(lines, 3)


async def test_files_that_are_not_there_are_all_named(lab: ImportLab) -> None:
    code, out = await asyncio.to_thread(lab.run, lab.folder / "none", f"{lab.folder}/*.x", "ftp://a/b")
    assert code == 2
    assert "none: No such file" in out
    assert "*.x: there is no file" in out
    assert "ftp://a/b: files can be at s3://, " in out


async def test_of_two_imports_of_different_files_at_once_one_is_refused(lab: ImportLab) -> None:
    """Whichever begins second."""
    one, two = some_lines(3_000, 1), some_lines(3_000, 2)
    await asyncio.to_thread(lab.run, lab.file("none", []))  # makes the topics
    both = [lab.start(lab.file(name, lines)) for name, lines in (("a", one), ("b", two))]
    ended = await asyncio.gather(*(asyncio.to_thread(lab.end, each) for each in both))
    kept = [lines for lines, (code, _) in zip((one, two), ended, strict=True) if code == 0]
    assert kept, ended
    for code, told in ended:
        assert code == 0 or "began just before: try again" in told or "isn't complete" in told
    assert sum(map(len, await lab.history())) == sum(map(len, kept))
    for name in "ab":
        code, out = await asyncio.to_thread(lab.run, lab.folder / name)
        assert code == 0, out
    assert [sorted(map(str, each)) for each in shown(await lab.history())] == [
        sorted(map(str, each)) for each in ordered([*one, *two], 3)
    ]


@pytest.mark.slow
async def test_ctrl_c_ends_it_and_the_same_command_goes_on(lab: ImportLab) -> None:
    lines = some_lines(60_000)
    file = lab.file("a.jsonl", lines)
    process = lab.start(file)
    while await records_or_none(lab) < 5_000 and process.poll() is None:
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, out = await asyncio.to_thread(lab.end, process)
    assert code in (0, 130), out
    if code:
        assert "interrupted: give the same command again, and it goes on from here" in out
        assert "Traceback" not in out
    code, told = await asyncio.to_thread(lab.run, file)
    assert code == 0, told
    assert shown(await lab.history()) == ordered(lines, 3)


async def test_other_settings_do_not_go_on_with_a_half_written_import(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer records are taken now, so that the sequence is another one."""
    lines = [line("u1", START_MS + number, text="x" * (number % 2 * 2_000)) for number in range(60)]
    file = lab.file("a.jsonl", lines)
    stop_after(monkeypatch, 30)
    with pytest.raises(Stopped):
        await asyncio.to_thread(lab.run, file)
    monkeypatch.undo()
    code, out = await asyncio.to_thread(lab.run, file, TURNSTILE_RECORDS__MAX_BYTES="1000")
    assert code == 2
    assert "is not what comes of its files now" in out
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 0, out
    assert shown(await lab.history()) == ordered(lines, 3)


async def test_a_file_that_changes_while_it_is_read_is_refused(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.imports import importer

    file = lab.file("a.jsonl", some_lines(10))
    survey_all = importer.survey_all

    def changed(*given: object) -> object:
        found = survey_all(*given)  # type: ignore[arg-type]
        lab.file("a.jsonl", some_lines(10, 4))
        return found

    monkeypatch.setattr(importer, "survey_all", changed)
    code, out = await asyncio.to_thread(lab.run, file)
    assert code == 2
    assert "a.jsonl changed while it was read: give the command again" in out
    assert await lab.imports() == []


async def test_what_another_process_imports_meanwhile_is_not_imported_again(
    lab: ImportLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While this one reads its files."""
    from app.imports import importer

    shared, more = lab.file("a.jsonl", some_lines(10, 1)), lab.file("b.jsonl", some_lines(10, 2))
    survey_all = importer.survey_all

    def overtaken(*given: object) -> object:
        found = survey_all(*given)  # type: ignore[arg-type]
        code, out = lab.end(lab.start(shared))
        assert code == 0, out
        return found

    monkeypatch.setattr(importer, "survey_all", overtaken)
    code, out = await asyncio.to_thread(lab.run, shared, more)
    assert code == 2
    assert "began just before: try again" in out
    monkeypatch.undo()
    code, out = await asyncio.to_thread(lab.run, shared, more)
    assert code == 0
    assert "a.jsonl: everything in it was imported before" in out
    assert sum(map(len, await lab.history())) == 20
