"""What ``bench backfill`` finds."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.worker.latency import Latency


@dataclass(slots=True)
class Computed:
    """One audience's past. Seconds count from its publication."""

    audience: str
    partitions: int
    records: int
    first_cut_seconds: float
    """Until it decides in some partition."""
    cut_seconds: float
    """Until it decides in every partition."""
    ready_seconds: float
    members: int
    rss_bytes: int
    """When it was published."""
    peak_bytes: int
    """Meanwhile."""
    scratch_bytes: int
    """Of the scratch stores, at most."""
    cpu_us: float = 0.0
    """Of the worker for each record, until the last cut."""

    @property
    def rate(self) -> float:
        """Records of the history a second, until the last cut."""
        return self.records / self.cut_seconds


@dataclass(frozen=True, slots=True)
class FromTheStart:
    """The way without: a worker with a new application id takes the whole log."""

    partitions: int
    records: int
    seconds: float
    cpu_us: float
    """Of the worker for each record."""


@dataclass(slots=True)
class Beside:
    """Latencies of live events, by whether a past was computed meanwhile."""

    rate: int
    alone: tuple[Latency, ...]
    beside: tuple[Latency, ...]
    lag_alone: int
    lag_beside: int
    """The most records that were read late, as the worker said it once a second."""
    computed_seconds: float | None
    """Until the audience was ready; None: not while live events came."""


@dataclass(slots=True)
class BackfillRun:
    partitions: int
    from_the_start: FromTheStart
    computed: list[Computed] = field(default_factory=list)
    beside: Beside | None = None
    cuts: int = 0
    cut_p99_ms: float | None = None
    """Of the pauses at cuts: the upper bound of the bucket that the 99th percentile is in."""
    cut_mean_ms: float = 0.0
