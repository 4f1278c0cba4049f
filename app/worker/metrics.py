"""What a worker counts, for Prometheus: ``turnstile_<what>_<unit>_total``, moved once per step."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

from agents.evaluate.steps import Step
from agents.warnings import Warnings
from app.lookup.metrics import LookupMetrics
from tables.codec import split_row_key


class WorkerMetrics(LookupMetrics):
    """The worker's metrics. An ``agents.evaluate.commits.Listener``."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings
        super().__init__(warnings, "1 when lookups are answered and streams run.")
        self.records = Counter(
            "turnstile_records", "Input records, by what became of them.", ["outcome"], registry=self.registry
        )
        self.transitions = Counter(
            "turnstile_transitions",
            "Transitions in Kafka.",
            ["event", "project", "audience"],
            registry=self.registry,
        )
        self.dead_letters = Counter(
            "turnstile_dead_letters", "Dead letters by reason.", ["code"], registry=self.registry
        )
        self.rows = Counter(
            "turnstile_rows_written", "Rows written to changelog and store.", registry=self.registry
        )
        self.timers = Counter(
            "turnstile_due_users", "Users looked at because time passed.", registry=self.registry
        )
        self.commit_seconds = Histogram(
            "turnstile_step_commit_seconds",
            "Time from a computed step to its ack.",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.cut_seconds = Histogram(
            "turnstile_cut_seconds",
            "How long a partition took no records because it went over to new versions of audiences.",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.claims = Counter(
            "turnstile_identity_claims", "Claims of identities in Kafka.", registry=self.registry
        )
        self.collisions = Gauge(
            "turnstile_identity_collisions",
            "Identities that several users claim, in the partitions that this worker owns.",
            registry=self.registry,
        )
        self.samples_dropped = Gauge(
            "turnstile_samples_dropped",
            "Samples that were dropped because of state.max_samples, since the definitions changed.",
            registry=self.registry,
        )
        self.ids_dropped = Counter(
            "turnstile_ids_dropped",
            "Ids of events forgotten before dedupe.window_ms was over, because of state.max_samples.",
            registry=self.registry,
        )
        self.clock = Gauge(
            "turnstile_clock_seconds",
            "Stream time of a partition of the table, in seconds since 1970.",
            ["partition"],
            registry=self.registry,
        )
        self.records_lost = Counter(
            "turnstile_records_lost",
            "Input records that retention took before they were read.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.open_transaction = Gauge(
            "turnstile_open_transaction_seconds",
            "How long a producer's open transaction has held a partition back.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.lag = Gauge(
            "turnstile_lag_records",
            "Records between the committed offset and the end of the log.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.partitions = Gauge(
            "turnstile_partitions", "Partitions that this worker owns.", registry=self.registry
        )
        self.standby_lag = Gauge(
            "turnstile_standby_lag_records",
            "Records of the changelog that the standby of a partition lacks.",
            ["partition"],
            registry=self.registry,
        )
        self.refused = Counter(
            "turnstile_standby_refused",
            "Lookups that a standby refused because the answer would have been too old.",
            registry=self.registry,
        )
        self.asked_owner = Counter(
            "turnstile_standby_asked_owner",
            "Lookups that a standby left to the owner of the partition, because only that one can tell.",
            registry=self.registry,
        )
        self.audience_members = Gauge(
            "turnstile_audience_members",
            "Members of an audience in the partitions that this worker owns.",
            ["project", "audience"],
            registry=self.registry,
        )
        self.cached_rows = Gauge("turnstile_cached_rows", "Decoded rows in memory.", registry=self.registry)
        self.restored_rows = Gauge(
            "turnstile_restored_rows", "Rows read from changelogs so far.", registry=self.registry
        )

    def sizes(self, sizes: Mapping[tuple[str, str], int]) -> None:
        """Members by project and audience; those of audiences that are gone are no longer exported."""
        self.audience_members.clear()
        for labels, size in sizes.items():
            self.audience_members.labels(*labels).set(size)

    def forget_partitions(self) -> None:
        """Export no gauge of any partition until it is set again. Counters stay."""
        self.clock.clear()
        self.open_transaction.clear()
        self.lag.clear()
        self.standby_lag.clear()

    def step_done(self, partition: int, step: Step, seconds: float) -> None:
        counts = step.counts
        for outcome, count in (
            ("applied", counts.applied),
            ("repeated", counts.repeated),
            ("dead_letter", counts.dead),
            ("rekeyed", counts.repartitioned),
            ("skipped", counts.skipped),
        ):
            if count:
                self.records.labels(outcome).inc(count)
        for letter in step.dead:
            self.dead_letters.labels(letter.code).inc()
        for key in step.left:
            project, user_id = split_row_key(key)
            self._warnings.note(
                "row_too_large",
                f"partition {partition}, project {project}, user {user_id}",
                "time or definitions would have made the user's row larger than the changelog takes, so the "
                "user's audiences stay as they were; raise the changelog's max.message.bytes, then restart",
            )
        by_audience: dict[tuple[str, str, str], int] = {}
        for is_enter, project, audience, count in step.moves():
            name = ("enter" if is_enter else "exit", project, audience)
            by_audience[name] = by_audience.get(name, 0) + count
        for labels, count in by_audience.items():
            self.transitions.labels(*labels).inc(count)
        self.rows.inc(len(step.staged.rows))
        self.claims.inc(len(step.claims))
        self.timers.inc(counts.timers)
        self.ids_dropped.inc(counts.ids_dropped)
        self.commit_seconds.observe(seconds)
