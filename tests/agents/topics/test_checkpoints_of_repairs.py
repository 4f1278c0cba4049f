"""What the commands for topics write into a changelog keeps what workers left there."""

from __future__ import annotations

from pathlib import Path

from agents.restore.rebuild import LostChangelog, rebuild
from agents.topics.accept import write_checkpoints
from agents.topics.noted import checkpoint_records
from agents.topics.written import WrittenTopics
from rules.state.row import Row
from tables.changelog.reader import ChangelogReader
from tables.changelog.writer import ChangelogWriter
from tables.codec import Checkpoint, Letter, UnsentLetters, encode_checkpoint, encode_row
from tables.meta import StoreMeta, encode_meta
from tables.refused import Refused
from tables.store import RocksMemory, RocksStore, Write
from tests.driver.kafka import MemoryKafka, Stored, run

T = 1_700_000_000_000
MIB = 1024 * 1024


def test_accepting_a_topic_loses_no_dead_letter_that_a_crash_left_in_the_changelog() -> None:
    for size in (10, 3000):  # with the checkpoint, and in chunks
        kafka, checkpoint = MemoryKafka(), Checkpoint(2, 1, T, "", 1)
        letter = Letter("e", 0, 7, T, None, b"x" * size, [("a", None)], ("e", 0, 7), "code", "why", "apply")
        unsent = UnsentLetters(2, [letter])
        for key, value, headers in ChangelogWriter(1000).step(checkpoint, [], {}, checkpoint, letters=unsent):
            kafka.log("c", 0).records.append(Stored("c", 0, kafka.log("c", 0).end, T, key, value, headers))
            kafka.log("c", 0).end += 1
        records = run(checkpoint_records(kafka.consumer, "c", [0]))
        run(write_checkpoints(kafka.producer, "c", records))
        assert kafka.changelog("c").checkpoint == checkpoint
        assert kafka.changelog("c").unsent_letters() == [letter]


def test_a_changelog_that_is_rebuilt_has_the_notes_of_refused_timestamps(tmp_path: Path) -> None:
    store, checkpoint = RocksStore(tmp_path / "store", RocksMemory.of(MIB, MIB)), Checkpoint(2, 2, T, "", 1)
    (note,) = Refused().add(5, [7, 8])
    meta = encode_meta(StoreMeta(40, encode_checkpoint(checkpoint)))
    store.write(Write(rows=[(b"ann", encode_row(Row(T)))], meta=meta, notes=[note]))
    store.close()
    kafka = MemoryKafka()

    async def go_back(_: object) -> None:
        """Nothing was taken."""

    topics = WrittenTopics("c", "t", "r", 1, 1)
    nothing_left = LostChangelog(0, 0, 0, None)
    assert run(rebuild(kafka.producer, tmp_path / "store", {}, topics, nothing_left, go_back)) == 1
    change = ChangelogReader().read(kafka.log("c", 0).records)
    assert ([key for key, _ in change.rows], list(change.notes)) == ([b"ann"], [note])
