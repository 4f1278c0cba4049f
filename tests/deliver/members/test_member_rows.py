"""The rows of members, read from a changelog that is compacted and written to at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from agents.deliver.members.rows import PREFIX, MemberRows, read_rows
from rules.state.row import Membership, Row
from tables.codec import encode_row, row_key, split_row_key
from tests.stage.delivery import START_MS, DeliveryScene, scene

pytestmark = pytest.mark.kafka


def member(seq: int) -> bytes:
    """A row of a user whose membership changed so often."""
    return encode_row(Row(START_MS, audiences={7: Membership(seq, 0, 1)}))


async def write(stage: DeliveryScene, topic: str, user: str, row: bytes | None) -> None:
    await stage.producer.send_and_wait(topic, row, row_key("default", user), partition=0)


def users_in(rows: MemberRows) -> list[str]:
    return [split_row_key(key)[1] for key, _ in rows]


async def test_a_user_whose_older_row_is_compacted_away_while_it_is_read_is_not_left_out(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        changelog = f"{topic_prefix}-changelog"
        await stage.make(changelog, 1, **{"cleanup.policy": "compact,delete", "retention.ms": "-1"})
        tp = TopicPartition(changelog, 0)
        for user in ("a", "early", "c"):
            await write(stage, changelog, user, member(1))
        overtaken = 0

        class Overtaken(AIOKafkaConsumer):  # type: ignore[misc]
            """After an end was noted a row goes, because there is a newer one behind that end."""

            async def end_offsets(self, partitions: Any) -> Any:
                nonlocal overtaken
                ends = await super().end_offsets(partitions)
                overtaken += 1
                if overtaken == 1:
                    await write(stage, changelog, "early", member(1))
                    await stage.admin.delete_records({tp: RecordsToDelete(before_offset=2)})
                return ends

        options = {"bootstrap_servers": kafka, "auto_offset_reset": "earliest"}
        # One record a fetch: neither is the row fetched before it goes, nor a row beyond the end.
        consumer = partial(Overtaken, **options, max_partition_fetch_bytes=1)
        rows = MemberRows()
        await read_rows(consumer, tp, lambda key: True, rows)
        assert users_in(rows) == ["a", "c", "early"]
        assert overtaken == 2, "a stretch without gaps is the last one"
        rows.close()


async def test_the_latest_row_counts_and_users_who_are_in_nothing_are_not_kept(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with scene(kafka, topic_prefix, tmp_path, partitions=1) as stage:
        changelog = f"{topic_prefix}-changelog"
        await stage.make(changelog, 1, **{"cleanup.policy": "compact"})
        rows_written = [("left", 1), ("back", 1), ("back", 2), ("left", 2), ("back", 3), ("gone", 1)]
        for user, seq in rows_written:
            await write(stage, changelog, user, member(seq))
        await write(stage, changelog, "gone", None)
        await stage.producer.send_and_wait(changelog, b"not a row", b"\xff", partition=0)
        consumer = partial(AIOKafkaConsumer, bootstrap_servers=kafka, auto_offset_reset="earliest")
        rows = MemberRows()
        await read_rows(consumer, TopicPartition(changelog, 0), lambda key: True, rows)
        assert list(rows) == [(row_key("default", "back"), member(3))]
        assert rows.get(row_key("default", "left")) is None
        rows.close()


def test_what_a_killed_process_left_goes_when_the_next_members_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young = tmp_path / f"{PREFIX}left", tmp_path / f"{PREFIX}young"
    for folder in (left, young):
        (folder / "rows").mkdir(parents=True)
        (folder / "rows" / "000004.log").write_bytes(b"ann")
    program = (
        "import sys; from agents.deliver.members.rows import MemberRows\n"
        "rows = MemberRows()\nprint(1, flush=True)\nsys.stdin.read()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        (used,) = {*tmp_path.iterdir()} - {left, young}
        for folder in (left, used):
            os.utime(folder, (1, 1))
        own = MemberRows()
        (owned,) = {*tmp_path.iterdir()} - {left, young, used}
        os.utime(owned, (1, 1))
        rows = MemberRows()
        assert owned.exists(), "it is this process's"
        own.close()
        assert not left.exists()
        assert young.exists(), "its store may be about to be opened"
        assert used.exists(), "another process has it open"
        rows.close()
        other.kill()
    os.utime(used, (1, 1))
    MemberRows().close()
    assert not used.exists()
