"""Benchmarks as commands in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import ROOT

SECONDS = 500


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
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    found: dict[str, Any] = json.loads(target.read_text())
    return found


def kafka_options(tmp_path: Path, broker: str) -> list[str]:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return ["--broker", broker, "--folder", str(folder), "--partitions", "2"]
