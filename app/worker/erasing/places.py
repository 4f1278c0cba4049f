"""Where something of a user may have been, and when it is gone from there. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from agents.registry.erasures import Erasures, Receipt
from agents.topics.look import Topic
from agents.topics.plan import Role, TopicPlan
from app.worker.erasing.answers import ErasurePlace
from rules.time.instants import MAX_MS, format_instant, parse_instant

_DAY_MS: Final = 24 * 3600 * 1000
_FOR_EVER_MS: Final = 100 * 366 * _DAY_MS
"""A retention as long as this, or below 0, is none."""
_BY_RETENTION = (Role.SOURCE, Role.REPARTITION, Role.TRANSITIONS)
_REWRITTEN = (Role.HISTORY, Role.DEAD_LETTERS, Role.UNDELIVERED)
REWRITE: Final = "`turnstile erasures rewrite` takes the user out"


def places_of(
    receipt: Receipt, erasures: Erasures, plan: TopicPlan, topics: Mapping[str, Topic]
) -> list[ErasurePlace]:
    """The places of one erasure; ``topics``: all of the cluster, with the settings of ours where known."""
    erased_ms = receipt.before_ms
    found = [
        ErasurePlace("row, members, timers, identities, event ids", receipt.at, "went with the erasure"),
        ErasurePlace(
            "files of the partition's store",
            receipt.cleaned or None,
            "the row is deleted when the exits are in Kafka; then the worker that has the partition writes "
            "the files again",
        ),
        ErasurePlace(
            "files of readers, standbys and identities",
            None,
            "each does the same within a minute or two of the deletion, when it runs; a disk that no process "
            "uses any more keeps what it had",
        ),
        ErasurePlace("scratch stores", None, "they go when the computations that are under way end"),
        ErasurePlace(
            "rows that delivery workers read", None, "they go when a new destination has its members"
        ),
        ErasurePlace(
            "lists of pushes that are under way",
            None,
            "a list is deleted with its run, and made anew where a user was erased before it was sent",
        ),
        ErasurePlace("destinations", None, "the exits go out like others, with the cause delete"),
    ]
    for name in sorted(topics):
        found += _of_topic(name, plan.role_of(name), topics[name], erased_ms, erasures)
    return found


def _of_topic(
    name: str, role: Role | None, topic: Topic, erased_ms: int, erasures: Erasures
) -> Iterator[ErasurePlace]:
    place = f"topic {name}"
    if role in (Role.CHANGELOG, Role.IDENTITIES):
        lag_ms = _setting(topic, "max.compaction.lag.ms")
        what = "the row is" if role is Role.CHANGELOG else "all claims are"
        how = f"{what} deleted; the records go when the broker compacts the log"
        if lag_ms is None:
            yield ErasurePlace(place, None, f"{how}: with max.compaction.lag.ms it is known by when")
        else:
            # Once for what was deleted, and once more for the deletion itself, which names the user.
            kept_ms = _setting(topic, "delete.retention.ms") or _DAY_MS
            yield ErasurePlace(place, _after(erased_ms, 2 * lag_ms + kept_ms), how)
    elif role in _REWRITTEN:
        rewritten = erasures.rewritten(name)
        if rewritten is not None and parse_instant(rewritten) >= erased_ms:
            yield ErasurePlace(place, rewritten, "it was rewritten since")
        else:
            yield _kept(place, topic, erased_ms, REWRITE)
    elif role in _BY_RETENTION:
        yield _kept(place, topic, erased_ms, "it is kept by size or for ever")


def _kept(place: str, topic: Topic, erased_ms: int, otherwise: str) -> ErasurePlace:
    kept_ms = _setting(topic, "retention.ms")
    if kept_ms is None:
        return ErasurePlace(place, None, otherwise)
    segment_ms = _setting(topic, "segment.ms") or 0  # a file goes when the last of its records is old enough
    how = "records go by the topic's retention.ms and segment.ms"
    return ErasurePlace(place, _after(erased_ms, kept_ms + segment_ms), how)


def _setting(topic: Topic, name: str) -> int | None:
    """A time in ms; None: it isn't known, or is for ever."""
    text = (topic.configs or {}).get(name, "")
    number = int(text) if text.lstrip("-").isdigit() else -1
    return number if 0 <= number < _FOR_EVER_MS else None


def _after(erased_ms: int, ms: int) -> str:
    return format_instant(min(erased_ms + ms, MAX_MS))
