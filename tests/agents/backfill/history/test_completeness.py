"""When the history is long enough, and what is said where it isn't."""

from __future__ import annotations

import pytest

from agents.backfill.history.completeness import LogBegin, Shortfall, shortfalls
from rules.model.language import Audience
from rules.parse.definitions import parse_definitions
from rules.time.durations import parse_duration
from rules.time.instants import parse_instant

DAY = 86_400_000
AT = parse_instant("2026-11-28T00:00:00Z")
WEEK = "{event: e, within: 7d}"
EVER = "{event: e}"
WHOLE = LogBegin("events/0", AT - DAY, whole=True)


def by_id(*rules: str, backfill: str = "{}") -> dict[str, Audience]:
    text = "\n---\n".join(
        f"{{id: {name}, name: {name}, backfill: {backfill}, rule: {rule}}}"
        for name, rule in zip("abc", rules, strict=False)
    )
    parsed, problems = parse_definitions(text, "x.yaml")
    assert problems == []
    return {each.audience.id: each.audience for each in parsed}


def found(rule: str, *logs: LogBegin, backfill: str = "{}", dedupe_ms: int = 0) -> list[Shortfall]:
    audiences = by_id(rule, backfill=backfill)
    return shortfalls(audiences.values(), audiences, logs, AT, dedupe_ms)


def test_a_log_from_which_nothing_was_taken_is_complete() -> None:
    assert found(EVER, WHOLE) == []
    assert found(EVER, LogBegin("events/0", None, whole=True)) == []
    assert found(EVER) == []


def test_otherwise_its_first_record_must_be_as_old_as_the_lookback() -> None:
    assert found(WEEK, LogBegin("events/0", AT - 7 * DAY)) == []
    assert found(WEEK, LogBegin("events/0", AT - 7 * DAY + 1))
    assert found(WEEK, LogBegin("events/0", AT - 7 * DAY), dedupe_ms=64)
    assert found(WEEK, LogBegin("events/0", AT - 7 * DAY - 1064), dedupe_ms=64) == []
    assert found(WEEK, LogBegin("events/0", None))
    assert found(EVER, LogBegin("events/0", 0))
    assert found("{attribute: x, eq: 1}", LogBegin("events/0", None)) == []


def test_the_partition_with_least_decides() -> None:
    logs = [WHOLE, LogBegin("events/1", AT - 5 * DAY), LogBegin("events/2", AT - 3 * DAY), LogBegin("x/0", 0)]
    (short,) = found(WEEK, *logs)
    assert short.log.place == "events/2"
    assert short.accepted == "3d"


@pytest.mark.parametrize(
    ("first_ms", "accepted"),
    [
        (AT - 29 * DAY - 5, "29d"),
        (AT - DAY + 1, "23h"),
        (AT - 90_000, "1m"),
        (AT - 1_001, "1s"),
        (AT - 7, "7ms"),
        (AT, "none"),
        (AT + 5, "none"),
        (None, "none"),
    ],
)
def test_the_history_that_it_names_is_accepted(first_ms: int | None, accepted: str) -> None:
    log = LogBegin("events/0", first_ms)
    (short,) = found(EVER, log)
    assert short.accepted == accepted
    assert f"backfill: {{history: {accepted}}}" in short.hint
    assert found(EVER, log, backfill=f"{{history: {accepted}}}", dedupe_ms=DAY) == []
    if accepted not in ("none", "7ms"):
        longer = parse_duration(accepted) + 60 * DAY
        assert found(EVER, log, backfill=f"{{history: {longer}ms}}")


def test_it_says_from_when_the_history_is_there_and_what_it_takes() -> None:
    (short,) = found("{event: e, within: 90d}", LogBegin("events/3", AT - 29 * DAY - 5), dedupe_ms=DAY)
    assert str(short) == (
        "audience 'a' looks back over 90 days, and the history is there from 2026-10-29T23:59:59.995Z on"
        " (29 days): what was in events/3 before is gone"
        " - backfill: {history: 29d} accepts what is there; turnstile import brings in what is missing"
    )
    (short,) = found(EVER, LogBegin("events/3", None))
    assert str(short) == (
        "audience 'a' looks back over all that ever was, and no history is there: "
        "what was in events/3 is gone"
        " - backfill: {history: none} accepts what is there; "
        "turnstile import can bring in more, for a longer one"
    )


def test_who_asks_about_an_audience_asks_for_its_history_too() -> None:
    audiences = by_id(WEEK, "{audience: a, for: 3d}")
    log = LogBegin("events/0", AT - 8 * DAY)
    assert [each.audience.id for each in shortfalls(audiences.values(), audiences, [log], AT, 0)] == ["b"]
