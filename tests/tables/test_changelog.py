"""A step to changelog records and back: outboxes of any size, their slots, and what compaction may take."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.state.row import Row, Transition
from tables.changelog.format import RECORD_BYTES, ChangelogBroken, Written, is_row, largest_row_bytes
from tables.changelog.reader import ChangelogReader
from tables.changelog.writer import ChangelogWriter
from tables.codec import (
    CHECKPOINT_KEY,
    Checkpoint,
    Letter,
    Outbox,
    UnsentLetters,
    encode_outbox,
    encode_row,
    row_key,
)
from tables.meta import StoreMeta, decode_meta
from tests.driver.kafka import Stored

LIMIT = 1000
T = 1_700_000_000_000


def transition(user: str, seq: int) -> Transition:
    return Transition("default", "seen", "Seen", 1, user, seq, T, "event", None, T, None)


def outbox(step: int, user: str, size: int, first: int = 1) -> Outbox:
    return Outbox(step, [transition(user, first + each) for each in range(size)])


def checkpoint(step: int, acked: int) -> Checkpoint:
    return Checkpoint(step, acked, T + step, "", 1)


def row(timer_ms: int | None = None) -> bytes:
    return encode_row(Row(T, timer_ms))


class KeptRecords:
    """Records with offsets; a reader takes them from anywhere."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self.end = 0

    def write(self, records: Iterable[Written]) -> None:
        for key, value, headers in records:
            self.records.append(Stored("changelog", 0, self.end, 0, key, value, headers))
            self.end += 1

    def compact(self) -> None:
        last = {each.key: each.offset for each in self.records}
        self.records = [each for each in self.records if last[each.key] == each.offset]

    def read(self, meta: StoreMeta | None = None, chunk: int = 1000) -> ChangelogReader:
        meta = meta or StoreMeta(0, b"")
        reader = ChangelogReader(meta.changelog_next, meta.checkpoint)
        records = [each for each in self.records if each.offset >= meta.changelog_next]
        for start in range(0, len(records), chunk):
            reader.read(records[start : start + chunk])
        reader.position = self.end
        return reader

    def sizes(self) -> list[int]:
        return [
            len(each.key) + len(each.value or b"") + sum(len(value) for _, value in each.headers)
            for each in self.records
        ]


def test_an_outbox_that_fits_goes_with_its_row_as_it_always_did() -> None:
    log, content = KeptRecords(), outbox(1, "ann", 2)
    log.write(
        ChangelogWriter(LIMIT).step(checkpoint(1, 0), [(b"ann", row())], {b"ann": content}, checkpoint(1, 0))
    )
    assert [each.key for each in log.records] == [CHECKPOINT_KEY, b"ann", CHECKPOINT_KEY]
    assert log.records[1].headers == [("outbox", encode_outbox(content))]
    assert log.read().unsent() == content.transitions


@pytest.mark.parametrize("size", [20, 500])
def test_an_outbox_of_any_size_is_read_as_it_was_written(size: int) -> None:
    log, writer = KeptRecords(), ChangelogWriter(LIMIT)
    rows = [(name, row()) for name in (b"ann", b"bob", b"cy")]
    outboxes = {b"ann": outbox(1, "ann", size), b"cy": outbox(1, "cy", size)}
    log.write(writer.step(checkpoint(1, 0), rows, outboxes, checkpoint(1, 0)))
    assert max(log.sizes()) + RECORD_BYTES <= LIMIT
    reader = log.read(chunk=3)
    assert reader.unsent() == outboxes[b"ann"].transitions + outboxes[b"cy"].transitions
    assert reader.rows == 3
    assert not [each for each in log.records if is_row(each.key) and each.key not in dict(rows)]


def test_a_row_of_the_largest_size_has_room_for_the_names_of_its_chunks() -> None:
    limit = 100_000
    value = encode_row(Row(T, None, identities={"email": "x" * (largest_row_bytes(limit) - len(row()) - 20)}))
    log = KeptRecords()
    log.write(
        ChangelogWriter(limit).step(
            checkpoint(1, 0), [(b"ann", value)], {b"ann": outbox(1, "ann", 20_000)}, checkpoint(1, 0)
        )
    )
    assert max(log.sizes()) + RECORD_BYTES <= limit
    assert len(log.read().unsent()) == 20_000


def test_chunks_without_their_row_are_never_sent() -> None:
    log, writer = KeptRecords(), ChangelogWriter(LIMIT)
    step = [
        *writer.step(checkpoint(1, 0), [(b"ann", row())], {b"ann": outbox(1, "ann", 50)}, checkpoint(1, 0))
    ]
    at = next(at for at, (key, _, _) in enumerate(step) if key == b"ann")
    log.write(step[:at])
    reader = log.read()
    assert reader.unsent() == []
    assert reader.used_slots == [*range(at - 1)]
    # The next owner of the partition begins with the next step: what it writes there is not mixed up with it.
    writer = ChangelogWriter(LIMIT, reader.used_slots)
    log.write(
        writer.step(checkpoint(2, 1), [(b"ann", row())], {b"ann": outbox(2, "ann", 60)}, checkpoint(2, 1))
    )
    assert log.read().unsent() == outbox(2, "ann", 60).transitions


def test_recovery_begins_before_the_chunks_of_an_open_outbox() -> None:
    log, writer = KeptRecords(), ChangelogWriter(LIMIT)
    log.write(writer.step(checkpoint(1, 0), [(b"bob", row())], {}, checkpoint(1, 0)))
    step = [
        *writer.step(checkpoint(2, 1), [(b"ann", row())], {b"ann": outbox(2, "ann", 50)}, checkpoint(2, 1))
    ]
    log.write(step)
    for read in range(1, log.end + 1):
        reader = ChangelogReader()
        reader.read([each for each in log.records if each.offset < read])
        reader.position = read
        meta = decode_meta(reader.meta)
        assert meta.changelog_next <= max(read, 4)
        assert log.read(meta).unsent() == outbox(2, "ann", 50).transitions


def test_slots_are_used_again_once_their_step_is_known_to_be_sent_and_not_before() -> None:
    log, writer = KeptRecords(), ChangelogWriter(LIMIT)
    most = 0
    for number in range(1, 30):
        acked = (number - 1) // 2 * 2  # two steps go out together
        step = outbox(number, "ann", 40, number * 100)
        name, said = b"u%d" % number, checkpoint(number, acked)
        log.write(writer.step(said, [(name, row())], {name: step}, said))
        log.compact()
        open_steps = [number] if number - acked == 1 else [number - 1, number]
        expected = {each.seq for at in open_steps for each in outbox(at, "ann", 40, at * 100).transitions}
        assert {each.seq for each in log.read().unsent()} == expected
        most = max(most, sum(not is_row(each.key) for each in log.records))
    assert most < 50
    log.write(writer.note(checkpoint(29, 29)))
    log.compact()
    assert not [
        each for each in log.records if each.value and each.key != CHECKPOINT_KEY and not is_row(each.key)
    ]
    assert log.read().used_slots == []


def test_a_chunk_that_is_missing_is_said_and_not_sent_around() -> None:
    log, writer = KeptRecords(), ChangelogWriter(LIMIT)
    log.write(
        writer.step(checkpoint(1, 0), [(b"ann", row())], {b"ann": outbox(1, "ann", 50)}, checkpoint(1, 0))
    )
    del log.records[1]
    with pytest.raises(ChangelogBroken, match="slot 0"):
        log.read().unsent()


def test_a_row_that_was_deleted_and_came_again_is_there() -> None:
    log = KeptRecords()
    values = [(b"ann", row()), (b"ann", None), (b"ann", row(T + 5)), (b"bob", row()), (b"bob", None)]
    log.write([(key, value, []) for key, value in values])
    change = ChangelogReader().read(log.records)
    assert (list(change.rows), change.deleted) == ([(b"ann", row(T + 5))], [b"bob"])
    assert change.timers_added == [(T + 5, b"ann")]


def test_headers_of_others_are_passed_by() -> None:
    log = KeptRecords()
    log.write([(b"ann", row(), [("trace", b"x")])])
    assert log.read().unsent() == []


@given(st.text(min_size=1).filter(lambda name: "\0" not in name), st.sampled_from(["default", "shop"]))
def test_no_users_row_is_taken_for_something_else(user_id: str, project: str) -> None:
    try:
        key = row_key(project, user_id)
    except UnicodeEncodeError:
        return
    assert is_row(key)


def test_checkpoints_are_no_rows() -> None:
    assert not is_row(CHECKPOINT_KEY)
    assert msgspec.msgpack.encode(checkpoint(1, 0))


def test_chunks_of_letters_take_no_slot_of_what_the_changelog_still_calls_unsent() -> None:
    """A store knew that an outbox was sent, so its chunks were not read again; another has to read all."""
    log = KeptRecords()
    log.write(
        ChangelogWriter(LIMIT).step(
            checkpoint(1, 0), [(b"ann", row())], {b"ann": outbox(1, "ann", 50)}, checkpoint(1, 0)
        )
    )
    restarted = ChangelogWriter(LIMIT, log.read(StoreMeta(log.end, b"")).used_slots)
    letter = Letter(
        "events", 0, 7, T, None, b"x" * 3000, [("a", None)], ("events", 0, 7), "code", "text", "apply"
    )
    written = list(
        restarted.step(checkpoint(2, 1), [], {}, checkpoint(2, 1), letters=UnsentLetters(2, [letter]))
    )
    assert len(written) > 6
    for each in written:
        log.write([each])
        assert log.read().unsent() == []
    assert log.read().unsent_letters() == [letter]
