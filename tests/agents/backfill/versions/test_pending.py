"""What a partition lacks of the published versions: rebuilds that wait, and those that were taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.backfill.versions.catalog import Catalog
from agents.backfill.versions.pending import Pending, pending_of
from rules.compile.audience import PublishedAudience
from rules.parse.definitions import parse_definitions

FANS = "default/fans"


def version(number: int, more: str = "", **flags: int) -> PublishedAudience:
    text = f"{{id: fans, name: Fans, rule: {{event: view}}{more}}}"
    ((found,), _) = parse_definitions(text, "new.yaml")
    made = PublishedAudience(found.audience, number, created_ms=number * 1000)
    return replace(made, rebuild=bool(flags.get("rebuild")), goes_on_from=flags.get("goes_on_from", 0))


def catalog(*versions: PublishedAudience) -> Catalog:
    return Catalog({FANS: {each.version: each for each in versions}}, {FANS: versions[-1].version})


def pending(versions: Sequence[PublishedAudience], active: int) -> Pending:
    return pending_of(catalog(*versions), {FANS: active}, lambda target: False)


def test_a_rebuild_is_not_lost_when_another_version_comes_after_it() -> None:
    found = pending([version(1), version(2, rebuild=1), version(3)], 1)
    assert [(each.version, each.is_rebuild) for each in found.groups[0]] == [(3, True)]


def test_a_rebuild_that_was_taken_back_computes_nothing() -> None:
    taken_back = [version(1), version(2, rebuild=1), version(3, goes_on_from=1)]
    assert pending(taken_back, 1) == Pending({FANS: 3}, ())
    assert pending([*taken_back, version(4, ", description: other")], 1) == Pending({FANS: 4}, ())
    found = pending([*taken_back, version(4, rebuild=1)], 1)
    assert [(each.version, each.is_rebuild) for each in found.groups[0]] == [(4, True)]


def test_a_batch_audience_that_was_taken_back_keeps_its_instant() -> None:
    once = ", type: batch, schedule: once"
    versions = [version(1, once), version(2, once, rebuild=1), version(3, once, goes_on_from=1)]
    assert catalog(*versions).published(FANS, 2).created_ms == 2000
    assert catalog(*versions).published(FANS, 3).created_ms == 1000
    edited = [version(1, once), version(2, ", type: batch"), version(3, once, goes_on_from=1)]
    assert catalog(*edited).published(FANS, 3).created_ms == 1000
