"""The settings: one typed tree, from the environment and a YAML file (``turnstile settings`` prints it).

``TURNSTILE_KAFKA__BOOTSTRAP`` is ``kafka.bootstrap``; the environment wins over the file. An empty variable
counts as not given. Whatever is wrong is told at once, in SettingsInvalid.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr

from app.settings import deliver as deliver_settings
from app.settings import formats as formats_settings
from app.settings.backfill import AudiencesSettings, BackfillSettings
from app.settings.deliver import DeliverSettings
from app.settings.formats import SourcesSettings
from app.settings.http import HttpSettings, rate_disagreements, tls_disagreements
from app.settings.kafka import KafkaSettings, kafka_disagreements
from app.settings.pushes import PushesSettings, confirmation_disagreements
from app.settings.serve import ServeSettings
from app.settings.sources import (
    FILE_VARIABLE,
    GivenSetting,
    SettingsInvalid,
    WrongSetting,
    leaves,
    read_sources,
    show,
    validate,
)
from app.settings.values import (
    HISTORY_NAMES,
    HOUR_MS,
    KAFKA_NAME,
    TIMEZONES,
    TOPIC_NAMES,
    HistoryNames,
    KafkaName,
    Section,
    Size,
    Timezones,
    TopicNames,
    Whole,
    setting,
    size,
    whole,
)
from app.settings.worker import WorkerSettings
from rules.state.dedupe import LONGEST_MS

MIB = 1024**2
OWN_TOPICS = (
    *("transitions", "audiences", "destinations", "keys", "progress", "rekeyed", "imports"),
    *("notify", "notices", "erasures", "pushes", "push-runs"),
)
"""How the names of the service's own topics end, after the prefix and a dot."""
_YEAR_MS = 366 * 24 * HOUR_MS


class TopicsSettings(Section):
    """The topics, and how those that are missing are made."""

    prefix: KafkaName = setting("turnstile", KAFKA_NAME, "How the names of the service's own topics begin.")
    events: TopicNames = setting(
        lambda data: (f"{data.get('prefix', 'turnstile')}.events",),
        TOPIC_NAMES,
        "Topics of the input records; by default <topics.prefix>.events.",
    )
    history: HistoryNames = setting(
        lambda data: (f"{data.get('prefix', 'turnstile')}.history",),
        HISTORY_NAMES,
        "Topics of records from before the source topics begin; by default <topics.prefix>.history. All "
        "workers need the same.",
    )
    partitions: Whole = whole(
        8, 1, 10_000, "Partitions of topics that are made; at most this many workers can share the work."
    )
    replication: Whole | None = setting(
        None,
        "a whole number from 1 to 100",
        "Copies of topics that are made; by default 3, or one on each broker where there are fewer.",
        ge=1,
        le=100,
    )
    create: bool = setting(
        False,
        "true or false",
        "Whether missing topics of topics.events are made; otherwise a missing one stops the start.",
    )


class ClockSettings(Section):
    """Time while no records come (docs/semantics.md, section 2)."""

    grace_ms: Whole = whole(
        500, 0, HOUR_MS, "How far (ms) stream time of an idle partition stays behind the wall clock."
    )
    max_lead_ms: Whole = whole(
        600_000,
        1_000,
        _YEAR_MS,
        "How far a record's timestamp may be ahead of the wall clock (ms); one that is further becomes a "
        "dead letter. A wall clock that jumps by more is followed a minute later, if it still says so.",
    )


class CacheSettings(Section):
    """Memory for rows."""

    rows: Whole = whole(
        200_000,
        1,
        1_000_000_000,
        "Decoded rows kept, over all partitions; while the past of audiences is computed, up to a quarter "
        "more.",
    )
    block_bytes: Size = size(256 * MIB, MIB, 1024**4, "RocksDB's cache of blocks, over all partitions.")
    write_buffer_bytes: Size = size(256 * MIB, MIB, 1024**4, "RocksDB's write buffers, over all partitions.")


class RecordsSettings(Section):
    """What one input record may bring; a record that brings more is a dead letter."""

    max_bytes: Size = size(512 * 1024, 1, 4 * MIB, "Size of a record's value.")
    max_attributes_bytes: Size = size(256 * 1024, 1, 4 * MIB, "Size of all attributes of a user.")


class StateSettings(Section):
    """What a condition may keep."""

    max_samples: Whole = whole(
        1_000, 1, 100_000, "Events kept per user and condition (docs/semantics.md, section 10)."
    )


class ProjectsSettings(Section):
    """What definitions of a project have in common."""

    timezones: Timezones = setting(
        (),
        TIMEZONES,
        "Time zones of projects, for audiences that name none, as PROJECT=ZONE; other projects: UTC.",
    )

    @property
    def zones(self) -> dict[str, str]:
        """By project."""
        return dict(each.split("=", 1) for each in self.timezones)


class DedupeSettings(Section):
    """Events that come again with the same ``id``."""

    window_ms: Whole = whole(
        86_400_000,
        0,
        LONGEST_MS,
        "How long (ms), or up to a 64th longer, an event with an applied event's id is a repeat; 0: never.",
    )


class LogsSettings(Section):
    """What is written on standard error."""

    format: Literal["console", "json"] = setting(
        lambda: "console" if sys.stderr.isatty() else "json",
        "console or json",
        "For people or for programs; by default console on a terminal, otherwise json.",
    )
    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "debug, info, warning or error", "The least important lines that are written."
    )


class Settings(Section):
    """The whole tree."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topics: TopicsSettings = Field(default_factory=TopicsSettings)
    sources: SourcesSettings = Field(default_factory=SourcesSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    clock: ClockSettings = Field(default_factory=ClockSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    records: RecordsSettings = Field(default_factory=RecordsSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    projects: ProjectsSettings = Field(default_factory=ProjectsSettings)
    audiences: AudiencesSettings = Field(default_factory=AudiencesSettings)
    backfill: BackfillSettings = Field(default_factory=BackfillSettings)
    dedupe: DedupeSettings = Field(default_factory=DedupeSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    serve: ServeSettings = Field(default_factory=ServeSettings)
    deliver: DeliverSettings = Field(default_factory=DeliverSettings)
    pushes: PushesSettings = Field(default_factory=PushesSettings)
    logs: LogsSettings = Field(default_factory=LogsSettings)

    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The YAML file that they were read from."""
        return self._file


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and where those that aren't defaults come from (by full name)."""

    settings: Settings
    given: Mapping[str, GivenSetting]


def load_settings(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """From ``environ`` (default: the process's) and a YAML file (default: the one it names).

    Raises SettingsInvalid with everything that is wrong.
    """
    return load_with_sources(file, environ).settings


def load_with_sources(file: Path | None = None, environ: Mapping[str, str] | None = None) -> LoadedSettings:
    """``load_settings`` that tells the sources, too. Raises SettingsInvalid."""
    environ = os.environ if environ is None else environ
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    given, wrong = read_sources(Settings, file, environ)
    settings, invalid = validate(Settings, given)
    wrong += invalid
    # Settings with a fault of their own stand at their defaults here: don't fault those, too.
    fields = dict(leaves(Settings))
    faulty = {each.name.partition("[")[0] for each in wrong}
    for names, message in _disagreements(settings):
        if faulty.isdisjoint(names):
            blamed = given.get(names[0])
            shown = show(fields[names[0]], blamed.value) if blamed else None
            wrong.append(WrongSetting(names[0], blamed, message, shown))
    if wrong:
        raise SettingsInvalid(wrong)
    settings._file = file
    return LoadedSettings(settings, given)


def _disagreements(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with settings only beside one another: the names (the one to blame first), the text."""
    yield from kafka_disagreements(settings.kafka)
    yield from deliver_settings.disagreements(settings.deliver)
    yield from formats_settings.disagreements(settings.sources, settings.topics.events)
    topics, app_id = settings.topics, settings.worker.app_id
    own = {f"{topics.prefix}.{name}" for name in OWN_TOPICS}
    own |= {f"{app_id}-profiles-changelog", *(f"{name}.dlq" for name in topics.events)}
    taken = sorted(own.intersection(topics.events))
    if taken:
        message = f"the service itself writes {', '.join(taken)}: it can't be an input"
        yield ("topics.events", "topics.prefix", "worker.app_id"), message
    if taken := sorted(own.intersection(topics.history)):
        message = f"the service writes other records to {', '.join(taken)}: it can't hold history"
        yield ("topics.history", "topics.prefix", "worker.app_id"), message
    if taken := sorted(set(topics.events).intersection(topics.history)):
        message = f"{', '.join(taken)} is one of topics.events already: its records are read from there"
        yield ("topics.history", "topics.events"), message
    http = settings.http
    listeners = {
        "http": http,
        "serve": settings.serve,
        "deliver": settings.deliver,
        "pushes": settings.pushes,
    }
    for name, section in listeners.items():
        if not section.is_loopback and not http.api_keys and http.api_keys_file is None:
            message = (
                "without API keys only this machine may connect. Give keys (http.api_keys or "
                "http.api_keys_file; `turnstile keys create --no-topic` makes one), or listen on 127.0.0.1"
            )
            yield (f"{name}.host", "http.api_keys", "http.api_keys_file"), message
        if section.port and section.port == section.probe_port:
            yield (f"{name}.probe_port", f"{name}.port"), f"is {name}.port already: each needs its own"
    yield from tls_disagreements(http)
    yield from rate_disagreements(http)
    yield from confirmation_disagreements(settings.pushes)
    names = [key.name for key in http.api_keys]
    if len(set(names)) < len(names):
        yield ("http.api_keys",), "two keys have one name"
