"""Settings of one worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from app.settings.values import KAFKA_NAME, KafkaName, Section, Whole, setting, whole


class WorkerSettings(Section):
    """One worker process."""

    app_id: KafkaName = setting(
        "turnstile", KAFKA_NAME, "Name of the consumer group; the name of the changelog topic begins with it."
    )
    id: KafkaName | None = setting(
        None,
        KAFKA_NAME,
        "Static member id, such as the pod's name; without it each start makes a new member.",
    )
    data_dir: Path = setting(Path(".turnstile"), "the path of a directory", "Where RocksDB keeps the rows.")
    poll_records: Whole = whole(4_000, 1, 50_000, "The most records that one poll brings.")
    standbys: Whole = whole(
        0,
        0,
        16,
        "Workers besides the owner that keep a copy of each partition's rows, to take it over without "
        "restoring it. All workers need the same.",
    )
    stall_seconds: Whole = whole(
        120,
        1,
        86_400,
        "After this time (seconds) without progress on records in hand the worker isn't alive.",
    )
    engine: Literal["auto", "native", "python"] = setting(
        "auto",
        "auto, native or python",
        "What computes: the native core, or Python alone. With auto it is the core where it is built and "
        "knows all conditions of the definitions; with native no worker starts without it.",
    )
    threads: Whole | None = setting(
        None,
        "a whole number from 1 to 64",
        "Threads in which the native core computes; by default one for each core that the process may use.",
        ge=1,
        le=64,
    )
