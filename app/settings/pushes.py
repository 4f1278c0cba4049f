"""The settings of pushes: where a process keeps rows and lists, how many runs there are at a time."""

from __future__ import annotations

from pathlib import Path

from app.settings.listener import ListenerSettings, port, probe_port
from app.settings.values import HOUR_MS, Whole, setting, whole


class PushesSettings(ListenerSettings):
    """Processes of pushes (``turnstile push worker``). Their HTTP interface takes http.api_keys, too."""

    port: Whole = port(6072)
    probe_port: Whole = probe_port(6073)
    data_dir: Path = setting(
        Path(".turnstile-pushes"),
        "the path of a directory",
        "Where RocksDB keeps the rows that are followed, and where lists lie until they are delivered.",
    )
    kafka_runs: Whole = whole(4, 1, 1_000, "Runs to Kafka at a time; others wait in order.")
    module_runs: Whole = whole(3, 1, 1_000, "Runs to internal modules at a time; others wait in order.")
    other_runs: Whole = whole(4, 1, 1_000, "All other runs at a time; others wait in order.")
    history: Whole = whole(1_000, 1, 100_000, "Runs of each push that are kept on the ledger.")
    keep_lists_ms: Whole = whole(
        24 * HOUR_MS,
        0,
        31 * 24 * HOUR_MS,
        "How long (ms) the list of a run that failed is kept, so that it can be pushed again.",
    )
    retry_ms: Whole = whole(
        24 * HOUR_MS,
        0,
        31 * 24 * HOUR_MS,
        "How long (ms) a target that isn't available is tried again before the run fails.",
    )
