"""The benchmarks' log and rules: the same everywhere, and as heavy as docs/benchmarks.md says."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest

from agents.formats.records import InputRecord
from agents.kafka.placement import partition_of
from bench.report import sparkline
from bench.worker.memory import MemoryRun, Sample
from bench.workload.events import LogSpec, generate
from bench.workload.expected import expect
from bench.workload.rules import bench_audiences

SPEC = LogSpec(base_ms=1_790_000_000_000, events=4_000, users=1_000)


def digest(spec: LogSpec) -> str:
    found = sha256()
    for record in generate(spec, "t"):
        found.update(
            b"%d %d %d %b %b\n"
            % (record.partition, record.offset, record.timestamp, record.key, record.value)
        )
    return found.hexdigest()


def test_the_log_is_pinned() -> None:
    assert digest(SPEC) == "73776c5a1c5095ef9fcfa5f5c52c470ecac5db6634d3d462ecfe087b87172916"


def test_a_shorter_log_is_the_beginning_of_a_longer_one() -> None:
    longer = list(generate(SPEC, "t"))
    assert list(generate(replace(SPEC, events=100), "t")) == longer[:100]


def test_another_seed_is_another_log() -> None:
    assert digest(replace(SPEC, seed=2)) != digest(SPEC)


def test_records_are_valid_in_order_and_at_their_users_partition() -> None:
    decode = msgspec.json.Decoder(InputRecord).decode
    offsets = [0] * SPEC.partitions
    at_ms = SPEC.base_ms
    sizes = []
    for record in generate(SPEC, "t"):
        decoded = decode(record.value)
        assert record.key == decoded.user_id.encode()
        assert record.partition == partition_of(decoded.user_id, SPEC.partitions)
        assert record.offset == offsets[record.partition]
        assert record.timestamp > at_ms
        offsets[record.partition] += 1
        at_ms = record.timestamp
        sizes.append(len(record.value))
    assert at_ms == SPEC.end_ms
    assert 180 <= sum(sizes) / len(sizes) <= 220


def test_an_event_meets_about_five_conditions() -> None:
    audiences = bench_audiences()
    assert len(audiences) == 20
    found = expect(SPEC, audiences)
    assert 4.8 <= found.evaluations_per_event <= 5.2
    assert 0 < found.by_records <= found.by_then
    assert found.by_then / SPEC.events < 1


@pytest.mark.parametrize(
    ("values", "shown"), [([], ""), ([0, 0], "▁▁"), ([1, 4, 8], "▂▅█"), ([1, 8, 2, 4], "▂█▃▅")]
)
def test_sparkline(values: list[float], shown: str) -> None:
    assert sparkline(values) == shown


@pytest.mark.parametrize(("per_user", "levels_off"), [(0, True), (10, True), (1_000, False)])
def test_memory_levels_off(per_user: int, levels_off: bool) -> None:
    users = 900_000
    samples = tuple(
        Sample(float(at), at * 1_000, 500_000_000 + per_user * at * 1_000, 0)
        for at in range(1, users // 1_000 + 1)
    )
    run = MemoryRun(users, samples, samples[-1].rss_bytes)
    assert run.plateaus is levels_off
    assert run.bytes_per_user == pytest.approx(per_user, abs=1e-6)
