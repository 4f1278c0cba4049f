"""What a receipt says of places, by the settings of topics and by what was done since."""

from __future__ import annotations

from dataclasses import dataclass

from agents.registry.erasures import Erasures, Receipt, receipt_of, receipt_record
from agents.topics.look import Topic
from agents.topics.plan import TopicPlan, wanted_topics
from app.worker.erasing.places import places_of
from rules.time.instants import format_instant
from tables.erased import Erased, pseudonym

T = 1_700_000_000_000
HOUR_MS = 3_600_000
PLAN = TopicPlan("shop", "app", ["web"], ["old"])


@dataclass(frozen=True)
class Published:
    key: bytes
    value: bytes
    offset: int = 0


def an_erasure(cleaned: str = "") -> Receipt:
    erased = Erased(T, {}, {}, ["r"], "default", (0, 0), asked_ms=T + HOUR_MS)
    return receipt_of(pseudonym(b"ann"), erased, 3, cleaned)


def told(receipt: Receipt, *others: Receipt, **configs: str) -> dict[str, str | None]:
    erasures = Erasures("shop.erasures")
    for each in (receipt, *others):
        assert erasures.take(Published(*receipt_record(each)))
    settings = {name.replace("_", "."): value for name, value in configs.items()}
    names = ["web", "old", "web.dlq", "shop.rekeyed", PLAN.changelog, PLAN.identities, "shop.audiences"]
    topics = {name: Topic(name, b"", 1, 1, settings) for name in names}
    return {each.place: each.clean_at for each in places_of(receipt, erasures, PLAN, topics)}


def after(hours: int) -> str:
    return format_instant(T + hours * HOUR_MS)


def test_topics_are_clean_as_their_settings_have_it() -> None:
    unknown = told(an_erasure())
    assert unknown["topic web"] is None
    assert unknown[f"topic {PLAN.changelog}"] is None
    assert "topic shop.audiences" not in unknown
    known = told(
        an_erasure(),
        retention_ms=str(10 * HOUR_MS),
        segment_ms=str(2 * HOUR_MS),
        max_compaction_lag_ms=str(3 * HOUR_MS),
        delete_retention_ms=str(24 * HOUR_MS),
    )
    assert {known[f"topic {each}"] for each in ("web", "old", "web.dlq", "shop.rekeyed")} == {after(1 + 12)}
    assert {known[f"topic {each}"] for each in (PLAN.changelog, PLAN.identities)} == {after(1 + 6 + 24)}
    for_ever = told(an_erasure(), retention_ms="-1", max_compaction_lag_ms="9223372036854775807")
    assert {for_ever["topic web"], for_ever[f"topic {PLAN.changelog}"]} == {None}


def test_topics_of_personal_data_are_made_so_that_a_receipt_names_the_instant() -> None:
    made = {each.name: Topic(each.name, b"", 1, 1, dict(each.configs)) for each in wanted_topics(PLAN, 1)}
    places = places_of(an_erasure(), Erasures("shop.erasures"), PLAN, made)
    clean = {each.place: each.clean_at for each in places}
    week_and_week_and_day = after(1 + 2 * 7 * 24 + 24)
    assert {clean[f"topic {each}"] for each in (PLAN.changelog, PLAN.identities)} == {week_and_week_and_day}


def test_a_rewriting_cleans_what_was_erased_before_it_began() -> None:
    early, late = (Receipt(format_instant(T + each * HOUR_MS), topic="old") for each in (0, 2))
    assert told(an_erasure(), early)["topic old"] is None, "what was written until the request isn't known"
    assert told(an_erasure(), late)["topic old"] == after(2)
    assert told(an_erasure(), late)["topic web.dlq"] is None


def test_the_owner_says_when_its_files_are_clean() -> None:
    place, erasures = "files of the partition's store", Erasures("shop.erasures")
    assert told(an_erasure())[place] is None
    assert told(an_erasure(after(5)))[place] == after(5)
    names = {pseudonym(b"ann")}
    for receipt, unclean in ((an_erasure(), names), (an_erasure(after(5)), set()), (an_erasure(), names)):
        assert erasures.take(Published(*receipt_record(receipt)))
        assert erasures.unclean[3] == unclean, "an erasure once more begins with another receipt"
    assert erasures.before_ms == {pseudonym(b"ann"): T + HOUR_MS}
    assert erasures.of_user("default", "ann") == an_erasure()
    assert erasures.of_user("shop", "ann") is None
