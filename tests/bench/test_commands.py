"""Every benchmark, tiny, against a real broker: it runs, checks itself and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT

pytestmark = pytest.mark.slow


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.command", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run a command; what it wrote with --json."""
    target = tmp_path / "result.json"
    process = start(*arguments, "--json", str(target))
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def kafka(tmp_path: Path, broker: str) -> list[str]:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return ["--broker", broker, "--folder", str(folder), "--partitions", "2"]


def test_profile(tmp_path: Path) -> None:
    found = run(tmp_path, "profile", "--events", "2000", "--users", "500")
    assert {"decode", "load rows", "apply and decide", "store write"} <= found["sections_us"].keys()


def test_throughput(tmp_path: Path, broker: str) -> None:
    sizes = ["--events", "60000", "--stock-events", "2000", "--users", "5000"]
    only = ["--only", "ceiling,stock,ours"]
    found = run(tmp_path, "throughput", *sizes, *only, *kafka(tmp_path, broker))
    by_kind = {each["kind"]: each for each in found["runs"]}
    assert by_kind.keys() == {"ceiling", "stock", "ours"}
    assert all(each["rate"] > 0 and each["peak_rss_bytes"] > 0 for each in found["runs"])
    assert by_kind["ours"]["transitions"] == found["expected"]["60000"]["by_then"]
    assert by_kind["stock"]["transitions"] == found["expected"]["2000"]["by_records"]
    assert not list((tmp_path / "scratch").iterdir())


def test_throughput_of_a_worker_per_core(tmp_path: Path, broker: str) -> None:
    """Enough events that the last worker to join finds some."""
    sizes = ["--events", "150000", "--users", "5000", "--only", "per_core"]
    found = run(tmp_path, "throughput", *sizes, *kafka(tmp_path, broker))
    assert [each["kind"] for each in found["runs"]] == ["per_core"]
    assert found["runs"][0]["transitions"] == found["expected"]["150000"]["by_then"]


def test_latency(tmp_path: Path, broker: str) -> None:
    sizes = ["--rate", "200", "--seconds", "2", "--warm-up", "1"]
    (found,) = run(tmp_path, "latency", *sizes, *kafka(tmp_path, broker))["runs"]
    assert found["events"] == 600
    transitions, events = found["latencies"]
    assert 0 < events["milliseconds"]["p50"] <= events["milliseconds"]["max"]
    assert transitions["milliseconds"]["p50"] >= events["milliseconds"]["p50"] / 2
    assert transitions["measured"] >= 10


def test_recovery(tmp_path: Path, broker: str) -> None:
    sizes = ["--rows", "2000", "--stock-rows", "500"]
    found = run(tmp_path, "recovery", *sizes, *kafka(tmp_path, broker))["runs"]
    assert [each["rows"] for each in found] == [2000, 2000, 2000, 0, 500]


def test_memory(tmp_path: Path, broker: str) -> None:
    process = start("memory", "--users", "20000", *kafka(tmp_path, broker))
    output, _ = process.communicate(timeout=240)
    # So few users may not fill the caches: that memory still grows is a result, not an error.
    assert process.returncode == 0 or "goes on growing" in output, output
    assert "20,000" in output


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_leaves_nothing(tmp_path: Path, broker: str, ending: signal.Signals) -> None:
    process = start("latency", "--rate", "100", "--seconds", "120", *kafka(tmp_path, broker))
    deadline = time.monotonic() + 60
    while not list((tmp_path / "scratch").glob("*/run-1/worker/worker.log")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = [int(each) for each in _children(process.pid)]
    assert children
    process.send_signal(ending)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert not list((tmp_path / "scratch").iterdir())
    assert not any(Path(f"/proc/{each}").exists() for each in children)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
