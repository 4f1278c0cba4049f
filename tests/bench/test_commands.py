"""Every benchmark, tiny, against a real broker: it runs, checks itself and leaves nothing behind."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.bench.commands import kafka_options, run, start

pytestmark = pytest.mark.slow


def test_profile(tmp_path: Path) -> None:
    found = run(tmp_path, "profile", "--events", "2000", "--users", "500")
    assert {"decode", "load rows", "apply and decide", "store write"} <= found["sections_us"].keys()


def test_throughput(tmp_path: Path, broker: str) -> None:
    sizes = ["--events", "60000", "--stock-events", "2000", "--users", "5000"]
    only = ["--only", "ceiling,stock,ours"]
    found = run(tmp_path, "throughput", *sizes, *only, *kafka_options(tmp_path, broker))
    by_kind = {each["kind"]: each for each in found["runs"]}
    assert by_kind.keys() == {"ceiling", "stock", "ours"}
    assert all(each["rate"] > 0 and each["peak_rss_bytes"] > 0 for each in found["runs"])
    assert by_kind["ours"]["transitions"] == found["expected"]["60000"]["by_then"]
    assert by_kind["stock"]["transitions"] == found["expected"]["2000"]["by_records"]
    assert not list((tmp_path / "scratch").iterdir())


def test_throughput_of_a_worker_per_core(tmp_path: Path, broker: str) -> None:
    """Enough events that the last worker to join finds some."""
    sizes = ["--events", "150000", "--users", "5000", "--only", "per_core", "--engine", "python"]
    found = run(tmp_path, "throughput", *sizes, *kafka_options(tmp_path, broker))
    assert [each["kind"] for each in found["runs"]] == ["per_core"]
    assert found["runs"][0]["transitions"] == found["expected"]["150000"]["by_then"]


def test_latency(tmp_path: Path, broker: str) -> None:
    sizes = ["--rate", "200", "--seconds", "2", "--warm-up", "1"]
    (found,) = run(tmp_path, "latency", *sizes, *kafka_options(tmp_path, broker))["runs"]
    assert found["events"] == 600
    transitions, events = found["latencies"]
    assert 0 < events["milliseconds"]["p50"] <= events["milliseconds"]["max"]
    assert transitions["milliseconds"]["p50"] >= events["milliseconds"]["p50"] / 2
    assert transitions["measured"] >= 10


def test_lookup(tmp_path: Path, broker: str) -> None:
    sizes = ["--rate", "200", "--per-second", "50", "--seconds", "1", "--warm-up", "1"]
    (found,) = run(tmp_path, "lookup", *sizes, *kafka_options(tmp_path, broker))["runs"]
    busy = [each for each in found["asked"] if each["beside"] != "no events"]
    assert [each["measured"] for each in busy] == [50, 2]
    assert all(0 < each["milliseconds"]["p50"] <= each["milliseconds"]["max"] for each in found["asked"])
    assert found["freshness_ms"]["p50"] > 0


def test_lookup_on_a_reader(tmp_path: Path, broker: str) -> None:
    sizes = [
        "--reader",
        "--no-redis",
        "--rate",
        "200",
        "--per-second",
        "50",
        "--seconds",
        "0.5",
        "--warm-up",
        "1",
    ]
    (found,) = run(tmp_path, "lookup", "--reader", "--no-redis", *sizes, *kafka_options(tmp_path, broker))[
        "runs"
    ]
    ours = [each for each in found["asked"] if each["whom"] == "reader"]
    assert len(ours) == 10, "five questions, idle and beside events"
    assert all(0 < each["milliseconds"]["p50"] <= each["milliseconds"]["max"] for each in ours)
    assert found["freshness_ms"]["p50"] > 0


def test_rules(tmp_path: Path) -> None:
    runs = run(tmp_path, "rules", "--events", "300", "--users", "50", "--counts", "10,100")["engines"]
    assert runs[0]["engine"] == "python"
    for each in runs:
        assert [one["audiences"] for one in each["scaled"]] == [10, 100]
        assert each["kinds"][0]["name"] == "no audience"
        assert all(one["us_per_event"] > 0 for one in each["kinds"])


def test_scale(tmp_path: Path) -> None:
    runs = run(tmp_path, "scale", "--users", "3000", "--events", "2000", "--folder", str(tmp_path))["runs"]
    assert runs[0]["engine"] == "python"
    for each in runs:
        assert each["users"] == 3000
        assert 0 < each["cached_rows"] <= 3000
        assert each["cpu_us"] > 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["result.json"]


def test_backfill(tmp_path: Path, broker: str) -> None:
    sizes = ["--records", "4000", "--users", "300", "--rate", "100", "--seconds", "6"]
    (found,) = run(tmp_path, "backfill", *sizes, *kafka_options(tmp_path, broker))["runs"]
    assert [each["audience"] for each in found["computed"]] == ["late_tenth", "late_all"]
    for each in found["computed"]:
        assert 0 < each["first_cut_seconds"] <= each["cut_seconds"] <= each["ready_seconds"]
        assert each["members"] > 0
    assert found["cuts"] >= 4
    assert found["beside"]["alone"][0]["milliseconds"]["p99"] > 0
    assert found["beside"]["beside"][0]["milliseconds"]["p99"] > 0


def test_recovery(tmp_path: Path, broker: str) -> None:
    sizes = ["--rows", "2000", "--stock-rows", "500"]
    found = run(tmp_path, "recovery", *sizes, *kafka_options(tmp_path, broker))["runs"]
    assert [each["rows"] for each in found] == [2000, 2000, 2000, 0, 500]


def test_memory(tmp_path: Path, broker: str) -> None:
    process = start("memory", "--users", "20000", *kafka_options(tmp_path, broker))
    output, _ = process.communicate(timeout=500)
    # So few users may not fill the caches: that memory still grows is a result, not an error.
    assert process.returncode == 0 or "goes on growing" in output, output
    assert "20,000" in output


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_leaves_nothing(tmp_path: Path, broker: str, ending: signal.Signals) -> None:
    process = start("latency", "--rate", "100", "--seconds", "120", *kafka_options(tmp_path, broker))
    deadline = time.monotonic() + 120
    while not list((tmp_path / "scratch").glob("*/run-1/worker/worker.log")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = [int(each) for each in _children(process.pid)]
    assert children
    process.send_signal(ending)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert not list((tmp_path / "scratch").iterdir())
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{each}").exists() for each in children):  # whoever ended may wait to be collected
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_push(tmp_path: Path, kafka: str) -> None:
    """To Kafka alone, which costs least. The command compares every list with its members."""
    sizes = ["--rows", "6000", "--members", "1500", "--rate", "400", "--seconds", "1", "--warm-up", "0"]
    found = run(tmp_path, "push", *sizes, "--only", "kafka", *kafka_options(tmp_path, kafka))
    assert [(each["kind"], bool(each["beside"])) for each in found["runs"]] == [
        ("kafka", False),
        ("kafka", True),
    ]
    assert all(each["rows"] == 1_500 and each["spool_seconds"] > 0 for each in found["runs"])
    assert [each["beside"] for each in found["windows"]] == ["", "kafka"]
    assert found["windows"][0]["measured"] > 0
    assert all(each["rows"] == 1_500 for each in found["floors"])
