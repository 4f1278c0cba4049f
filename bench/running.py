"""What every benchmark of the command line runs in: a report, a broker, a folder, and an orderly end."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bench.kafka.brokers import BenchBroker
    from bench.report import Report

FAILED = 1
INTERRUPTED = 130
WIDTH = 140
"""Of tables that go to a file or a pipe."""


@contextlib.contextmanager
def reporting(json_file: Path | None) -> Iterator[Report]:
    """A report that is saved at the end; a failure is a message, Ctrl-C and SIGTERM are an orderly end."""
    from rich.console import Console

    from app.logs import configure_logs
    from app.settings.tree import LogsSettings
    from bench.machine import describe_machine
    from bench.processes import BenchFailed
    from bench.report import Report

    configure_logs(LogsSettings(level="error"))
    signal.signal(signal.SIGTERM, _interrupt)
    report = Report(Console(width=None if sys.stdout.isatty() else WIDTH), json_file)
    report.facts("machine", describe_machine())
    try:
        yield report
    except BenchFailed as failed:
        typer.echo(f"bench failed: {failed}", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    report.save()


@contextlib.contextmanager
def running(
    given: str | None, json_file: Path | None, root: Path | None
) -> Iterator[tuple[Report, BenchBroker, Path]]:
    """A report, a broker and a folder, for a benchmark with Kafka."""
    from bench.kafka.brokers import bench_broker
    from bench.processes import scratch

    with reporting(json_file) as report, scratch(root) as folder, bench_broker(given) as broker:
        report.facts("broker", {"name": broker.name, "bootstrap": broker.bootstrap})
        yield report, broker, folder


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
