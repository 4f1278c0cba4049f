"""Sizes by day, against one simulation for each midnight."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from agents.estimate.daily import Daily
from agents.estimate.sampling import Effort
from app.simulate.simulate import Simulation
from rules.parse.definitions import load_definitions
from rules.time.calendar import calendar_of
from rules.time.instants import parse_instant
from tests.agents.estimate.logs import DAY_MS, estimated, log_of, rules_of

Json = Any
ZONE = "America/New_York"
BEGIN_MS = parse_instant("2026-10-28T15:00:00Z")
"""Days before a change of the zone's clock."""
DEFINITIONS: dict[str, Json] = {
    "lately": {"timezone": ZONE, "rule": {"event": "buy", "within": "2d"}},
    "quiet": {"timezone": ZONE, "rule": {"not": {"event": "buy", "period": "today"}}},
    "batch": {"timezone": ZONE, "type": "batch", "rule": {"event": "buy", "within": "3d"}},
    "plan": {"timezone": "UTC", "rule": {"attribute": "plan", "eq": "pro"}},
}


def bodies(seed: int = 1, users: int = 60, days: int = 9) -> list[tuple[int, Json]]:
    """Some of them at the very midnight."""
    random, calendar, found = Random(seed), calendar_of(ZONE), []
    for _ in range(users * 6):
        at_ms = BEGIN_MS + random.randrange(days * DAY_MS)
        if random.random() < 0.2:
            at_ms = calendar.start("day", calendar.period("day", at_ms) + 1)
        user = f"u{random.randrange(users)}"
        body: Json = {"user_id": user, "event": random.choice(["buy", "view"])}
        if random.random() < 0.1:
            body = {"user_id": user, "type": "profile", "set": {"plan": random.choice(["pro", "free"])}}
        found.append((at_ms, body))
    return sorted(found, key=lambda each: each[0])


def simulated(given: Sequence[tuple[int, Json]], until_ms: int) -> dict[str, int]:
    """How many are in each audience when time has gone to ``until_ms``, by what came before."""
    definitions = [{"id": id, "name": id, **each} for id, each in DEFINITIONS.items()]
    audiences = load_definitions([("a.json", json.dumps({"audiences": definitions}))])
    run = Simulation(audiences, io.BytesIO(), lambda *_: None)
    lines = [json.dumps(body | {"timestamp": at_ms}).encode() for at_ms, body in given if at_ms < until_ms]
    summary = run.run(lines, until_ms)
    return {each: summary.entered["default", each] - summary.left["default", each] for each in DEFINITIONS}


def test_a_days_size_is_what_simulate_gives_for_its_midnight() -> None:
    given = bodies()
    end_ms = given[-1][0]
    calendar = calendar_of(ZONE)
    estimates = estimated(
        log_of(given, 3), rules_of(DEFINITIONS), *DEFINITIONS, days=6, effort=Effort(exact=True)
    )
    first = calendar.period("day", end_ms) - 6
    for number in range(6):
        wanted = simulated(given, calendar.start("day", first + number + 1))
        found = {each.audience: each.days[number].size.users for each in estimates}
        del wanted["plan"], found["plan"]  # whose days are those of another zone
        assert found == wanted, number
    assert all(len(each.days) == 7 and each.days[-1].size == each.size for each in estimates)
    assert len({str([day.size.users for day in each.days]) for each in estimates}) == len(DEFINITIONS)


@pytest.mark.slow
def test_days_of_a_sample_have_intervals_around_those_of_all() -> None:
    given = bodies(seed=2, users=9_000)
    rules = rules_of({"lately": DEFINITIONS["lately"]})
    (sampled,) = estimated(log_of(given), rules, "lately", error=0.1, days=5)
    (whole,) = estimated(log_of(given), rules, "lately", days=5, effort=Effort(exact=True))
    assert not sampled.size.exact
    for some, every in zip(sampled.days, whole.days, strict=True):
        assert some.day == every.day
        assert some.size.low <= every.size.users <= some.size.high
        assert some.size.low < some.size.high


def test_a_day_ends_with_its_midnight_also_where_the_clock_changes() -> None:
    daily = Daily(ZONE)
    for at, is_enter in [
        ("2026-11-01T03:59:59.999Z", True),
        ("2026-11-01T04:00:00Z", True),
        ("2026-11-02T04:59:59.999Z", True),  # the day has 25 hours
        ("2026-11-02T05:00:00Z", False),
    ]:
        daily.add(parse_instant(at), is_enter)
    sizes = daily.sizes(parse_instant("2026-10-31T12:00:00Z"), parse_instant("2026-11-03T12:00:00Z"))
    assert [(str(day), size) for day, size in sizes] == [
        ("2026-10-31", 1),
        ("2026-11-01", 3),
        ("2026-11-02", 2),
        ("2026-11-03", 2),
    ]
