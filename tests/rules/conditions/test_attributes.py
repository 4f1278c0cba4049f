"""Attribute conditions against the clock: dates and changes (docs/semantics.md, sections 6 and 7)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.conditions.attributes import compile_attribute
from rules.conditions.truth import CompiledRule
from rules.model import language
from rules.predicates.compiled import compile_dated_predicate
from rules.state.profile_update import ProfileUpdate, change_attributes
from rules.state.row import Row
from rules.time.calendar import calendar_of
from rules.time.instants import FAR_MS
from tests.strategies.fuzzing import usual

DAY = 86_400_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def truth(operator: str, operand: int, zone: str = "UTC", path: str = "a") -> CompiledRule:
    test = language.Test(tuple(path.split(".")), operator, operand)
    return compile_attribute(language.AttributeCondition(test), calendar_of(zone))


def row_of(value: Any, changed_ms: int | None = None) -> Row:
    return Row(now_ms=0, attributes={"a": value}, changed_ms={} if changed_ms is None else {"a": changed_ms})


@pytest.mark.parametrize("value", ["2024-05-01", "2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00"])
def test_a_value_is_newer_until_it_is_exactly_so_old_and_older_from_then_on(value: str) -> None:
    older, newer, row = truth("older_than", 30 * DAY), truth("newer_than", 30 * DAY), row_of(value)
    flip = ms("2024-05-31")
    for at_ms in (ms("2020-01-01"), ms("2024-05-02"), flip - 1):
        assert (older.truth(row, at_ms), newer.truth(row, at_ms)) == (False, True)
        assert older.change(row, at_ms) == newer.change(row, at_ms) == flip
    assert (older.truth(row, flip), newer.truth(row, flip)) == (True, False)
    assert older.change(row, flip) == FAR_MS


@pytest.mark.parametrize(
    "value", [None, float("inf"), float("nan"), True, "", "soon", "2024-13-01", [], {}, "2024-05-01T"]
)
@pytest.mark.parametrize("operator", ["older_than", "newer_than", "in_next", "anniversary"])
def test_what_is_no_instant_is_neither_old_nor_new_nor_has_anniversaries(operator: str, value: Any) -> None:
    built, row = truth(operator, DAY), row_of(value)
    assert not built.truth(row, ms("2024-05-01"))
    assert built.change(row, ms("2024-05-01")) == FAR_MS


def test_dates_deep_in_an_attribute_are_found() -> None:
    built = truth("older_than", DAY, path="a.b")
    assert built.truth(row_of({"b": "2024-05-01"}), ms("2024-05-02"))
    assert not built.truth(row_of("2024-05-01"), ms("2024-05-02"))


def test_an_attribute_has_changed_until_exactly_so_long_after() -> None:
    built = truth("changed_within", 7 * DAY)
    row = row_of("x", 1000)
    assert (built.truth(row, 1000), built.truth(row, 1000 + 7 * DAY - 1)) == (True, True)
    assert not built.truth(row, 1000 + 7 * DAY)
    assert built.change(row, 1000) == 1000 + 7 * DAY
    assert built.change(row, 1000 + 7 * DAY) == FAR_MS
    unset = Row(now_ms=0, changed_ms={"a": 1000})
    assert built.truth(unset, 2000)
    assert not built.truth(row_of("x"), 2000)


def test_an_anniversary_holds_from_before_the_day_until_it_is_over_in_the_audiences_zone() -> None:
    built, row = truth("anniversary", 7 * DAY, "Asia/Shanghai"), row_of("1990-05-20")
    first, end = ms("2024-05-12T16:00:00"), ms("2024-05-20T16:00:00")
    assert built.change(row, ms("2024-01-01")) == first
    assert [built.truth(row, at) for at in (first - 1, first, end - 1, end)] == [False, True, True, False]
    assert built.change(row, first) == end
    assert built.change(row, end) == ms("2025-05-12T16:00:00")


def test_the_day_itself_is_no_anniversary_and_leap_days_have_theirs_on_the_28th() -> None:
    built, row = truth("anniversary", DAY), row_of("2024-02-29")
    assert not built.truth(row, ms("2024-02-29"))
    assert built.change(row, ms("2024-02-29")) == ms("2025-02-27")
    assert [built.truth(row, ms(at)) for at in ("2025-02-28", "2025-03-01", "2028-02-29")] == [
        True,
        False,
        True,
    ]


def test_an_instants_anniversary_is_the_day_on_the_audiences_clock() -> None:
    built = truth("anniversary", DAY, "Asia/Shanghai")
    assert built.change(row_of("1990-05-20T20:00:00Z"), ms("2024-01-01")) == ms("2024-05-19T16:00:00")


def test_a_bound_longer_than_a_year_never_lets_go() -> None:
    built, row = truth("anniversary", 800 * DAY), row_of("1990-05-20")
    assert built.truth(row, ms("2024-01-01"))
    flip = built.change(row, ms("2024-01-01"))  # a lower bound: looking there again finds no difference
    assert flip == FAR_MS or built.truth(row, flip)


def test_an_event_propertys_date_is_held_against_the_events_time() -> None:
    predicate = language.AllTests(
        (
            language.NotTest(language.Test(("d",), "older_than", 30 * DAY)),
            language.AnyTest((language.Test(("p",), "eq", 1), language.Test(("d",), "anniversary", DAY))),
        )
    )
    check = compile_dated_predicate(predicate, calendar_of("UTC"))
    assert check({"d": "2024-05-01", "p": 1}, ms("2024-05-30"))
    assert not check({"d": "2024-05-01", "p": 1}, ms("2024-05-31"))
    assert not check({"d": "2024-05-01", "p": 2}, ms("2024-05-30"))
    assert check({"p": 1}, 0)


SECONDS = 1_604_188_800  # 2020-11-01
values = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(0, 200 * 24).map(lambda hours: SECONDS + hours * 3600),
    st.integers(0, 200 * 24).map(lambda hours: (SECONDS + hours * 3600) * 1000),
    st.dates(date(2020, 11, 1), date(2021, 4, 1)).map(str),
)
tests = st.builds(
    language.Test,
    st.just(("a",)),
    st.sampled_from(["older_than", "newer_than", "anniversary", "changed_within"]),
    st.integers(1, 60).map(lambda days: days * DAY),
)
predicates = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: language.AllTests(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: language.AnyTest(tuple(parts))),
        inner.map(language.NotTest),
    ),
    max_leaves=4,
)


def naive(predicate: Any, value: Any, changed_ms: int, at_ms: int, zone: ZoneInfo) -> bool:
    if isinstance(predicate, language.AllTests):
        return all(naive(part, value, changed_ms, at_ms, zone) for part in predicate.parts)
    if isinstance(predicate, language.AnyTest):
        return any(naive(part, value, changed_ms, at_ms, zone) for part in predicate.parts)
    if isinstance(predicate, language.NotTest):
        return not naive(predicate.part, value, changed_ms, at_ms, zone)
    span = timedelta(milliseconds=predicate.operand)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    if predicate.operator == "changed_within":
        return at_ms - changed_ms < predicate.operand
    try:
        if isinstance(value, int):
            instant = datetime.fromtimestamp(value if value < 10**11 else value / 1000, UTC)
            day = instant.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        else:
            day = datetime.strptime(value, "%Y-%m-%d")
            instant = day.replace(tzinfo=zone)
    except (TypeError, ValueError):
        return False
    if predicate.operator == "older_than":
        return at - instant >= span
    if predicate.operator == "newer_than":
        return at - instant < span
    for year in range(day.year + 1, day.year + 12):
        leap = day.month == 2 and day.day == 29 and year % 4 != 0
        begins = datetime(year, day.month, 28 if leap else day.day)
        ends = begins + timedelta(days=1)
        if (
            begins.replace(tzinfo=zone).astimezone(UTC) - span
            <= at
            < ends.replace(tzinfo=zone).astimezone(UTC)
        ):
            return True
    return False


@settings(max_examples=usual(100), deadline=None)
@given(predicates, values, st.integers(0, 500), st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York"]))
def test_attributes_agree_with_a_walk_over_every_hour(
    predicate: Any, value: Any, day: int, zone: str
) -> None:
    built = compile_attribute(language.AttributeCondition(predicate), calendar_of(zone))
    changed_ms = ms("2021-01-01") + day * DAY
    row = row_of(value, changed_ms)
    start, info = changed_ms, ZoneInfo(zone)
    now = naive(predicate, value, changed_ms, start, info)
    assert built.truth(row, start) == now
    hour = DAY // 24
    first = start // hour * hour + hour
    changes = (
        at
        for at in range(first, start + 80 * DAY, hour)
        if naive(predicate, value, changed_ms, at, info) != now
    )
    flip = next(changes, None)
    if flip is not None:
        assert built.change(row, start) == flip
        assert built.truth(row, flip - 1) == now
    else:
        told = built.change(row, start)
        assert told >= start + 79 * DAY


def test_a_value_deep_in_an_attribute_has_a_change_of_its_own() -> None:
    built, row = truth("changed_within", DAY, path="a.b"), Row(now_ms=0)
    watched = {"a": (("a", "b"),)}

    def take(value: Any, at_ms: int) -> None:
        change_attributes(row, ProfileUpdate(None, at_ms, {"a": value}, {}, (), {}), at_ms, watched)

    take({"c": 1}, 0)
    assert not built.truth(row, 0)
    take({"b": 1, "c": 1}, 10)
    take({"b": 1.0, "c": 2}, 20)
    assert built.change(row, 20) == DAY + 10
    assert row.changed_paths == {"a.b": 10}
    take("gone", 30)
    assert row.changed_paths == {"a.b": 30}


def test_what_was_not_watched_from_the_start_changed_no_later_than_its_attribute() -> None:
    built, row = truth("changed_within", DAY, path="a.b"), Row(now_ms=0)
    change_attributes(row, ProfileUpdate(None, 10, {"a": {"b": 1}}, {}, (), {}), 10)
    assert row.changed_paths == {}
    assert built.change(row, 10) == DAY + 10
    watched = {"a": (("a", "b"),)}
    change_attributes(row, ProfileUpdate(None, 20, {"a": {"b": 1, "c": 2}}, {}, (), {}), 20, watched)
    assert row.changed_paths == {"a.b": 10}
    assert built.change(row, 20) == DAY + 10
