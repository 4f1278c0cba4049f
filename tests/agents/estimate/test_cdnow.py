"""Real purchases: estimates over CDNOW's customers, against figures counted straight from the file."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest

from agents.estimate.sampling import Effort
from tests.agents.estimate.logs import DAY_MS, estimated, log_of, rules_of

Lines = list[tuple[str, date, float]]
RULES: dict[str, Any] = {
    "recent": {"event": "purchase", "within": "90d"},
    "often": {"event": "purchase", "days": {"gte": 4}},
    "gone": {"all": [{"event": "purchase", "count": {"gte": 2}}, {"not": {"audience": "recent"}}]},
}


@pytest.fixture(scope="module")
def lines() -> Lines:
    packed = files("app.demo").joinpath("data/cdnow.csv.gz").read_bytes()
    found = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    return [
        (each["customer"], datetime.strptime(each["date"], "%Y%m%d").date(), float(each["dollars"]))
        for each in found
    ]


def at_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def log(lines: Lines) -> Any:
    bodies = [
        (at_ms(day), {"user_id": customer, "event": "purchase", "properties": {"dollars": dollars}})
        for customer, day, dollars in sorted(lines, key=lambda each: each[1])
    ]
    return log_of(bodies, partitions=4)


def figures(lines: Lines, end: date) -> dict[str, int]:
    """Sizes at the end of a day, from the lines alone.

    A purchase is at midnight of its day: at a day's end those count that were up to 89 whole days before.
    """
    days: dict[str, list[date]] = {}
    for customer, day, _ in lines:
        if day <= end:
            days.setdefault(customer, []).append(day)
    recent = {customer for customer, bought in days.items() if (end - max(bought)).days < 90}
    return {
        "recent": len(recent),
        "often": sum(len(set(bought)) >= 4 for bought in days.values()),
        "gone": sum(len(bought) >= 2 and customer not in recent for customer, bought in days.items()),
    }


@pytest.mark.slow
def test_a_sample_of_all_customers_holds_the_figures_of_the_file(lines: Lines) -> None:
    last = max(day for _, day, _ in lines)
    made = estimated(log(lines), rules_of(RULES), *RULES, at_ms=at_ms(last) + DAY_MS - 1, error=0.1, days=5)
    customers = len({customer for customer, _, _ in lines})
    for each in made:
        assert each.how.log_users == customers
        for at, day in enumerate(each.days):
            truth = figures(lines, last - timedelta(days=5 - at))[each.audience]
            assert day.size.low <= truth <= day.size.high, (each.audience, day)
        assert not each.size.exact
        assert each.how.sampled_users <= customers / 2


def test_with_every_customer_evaluated_each_day_is_that_of_the_file(lines: Lines) -> None:
    wanted = set(sorted({customer for customer, _, _ in lines})[::16])
    some = [each for each in lines if each[0] in wanted]
    last = max(day for _, day, _ in some)
    made = estimated(
        log(some),
        rules_of(RULES),
        *RULES,
        at_ms=at_ms(last) + DAY_MS - 1,
        days=400,
        effort=Effort(exact=True),
    )
    for each in made:
        assert each.size.users == figures(some, last)[each.audience]
        for at in (0, 50, 150, 399, 400):
            day = last - timedelta(days=400 - at)
            assert each.days[at].day == day.isoformat()
            assert each.days[at].size.users == figures(some, day)[each.audience], (each.audience, day)
