"""Recency, frequency and monetary value of the CDNOW customers: the pipeline's audiences, held against
figures counted straight from the file."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from itertools import count
from random import Random

import pytest

from agents.evaluate.pipeline import Pipeline
from agents.evaluate.steps import Limits, Step
from agents.kafka.placement import Place
from app.simulate.lines import LineRecord
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.model.language import Audience
from rules.state.row import Transition
from tables.profiles import Profiles
from tables.store import MemoryStore
from tests.agents.evaluate.grafts import Publication, Way, new_pipeline, parsed, settled, swept, time_passes
from tests.driver.partition import Rec

DAY_MS = 86_400_000
DATES = [date(1997, 4, 1), date(1997, 10, 1), date(1998, 1, 1), date(1998, 6, 30)]
EVERY = 16
"""Of the customers one in so many: from those who came first to those who came last."""

DAYS_AGO = [(0, 30), (30, 90), (90, 180), (180, 1000)]
TIMES = [(1, 2), (2, 4), (4, 8), (8, 1000)]
DOLLARS = [(0, 30), (30, 100), (100, 300), (300, 100_000)]
CLASSES = range(4)

RULES: dict[str, object] = {
    **{
        f"r{at}": {"event": "purchase", "since_last": {"gte": f"{low}d", "lt": f"{high}d"}}
        for at, (low, high) in enumerate(DAYS_AGO)
        if low
    },
    "r0": {"event": "purchase", "since_last": {"lt": "30d"}},
    **{
        f"f{at}": {"event": "purchase", "days": {"gte": low, "lt": high}}
        for at, (low, high) in enumerate(TIMES)
    },
    **{
        f"m{at}": {
            "all": [
                {"event": "purchase", "count": {"gte": 1}},
                {"event": "purchase", "sum": {"property": "dollars", "gte": low, "lt": high}},
            ]
        }
        for at, (low, high) in enumerate(DOLLARS)
    },
    "best": {"all": [{"audience": "r0"}, {"audience": "f3"}, {"audience": "m3"}]},
    "at_risk": {
        "all": [{"any": [{"audience": "r2"}, {"audience": "r3"}]}, {"audience": "m3"}],
    },
    "score_8": {
        "score": [
            {"when": {"audience": f"{letter}{at}"}, "points": 3 - at if letter == "r" else at}
            for letter in "rfm"
            for at in CLASSES
        ],
        "gte": 8,
    },
}
Lines = list[tuple[str, date, Decimal]]


@pytest.fixture(scope="module")
def lines() -> Lines:
    packed = files("app.demo").joinpath("data/cdnow.csv.gz").read_bytes()
    found = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    made = [
        (
            line["customer"],
            datetime.strptime(line["date"], "%Y%m%d").replace(tzinfo=UTC).date(),
            Decimal(line["dollars"]),
        )
        for line in found
    ]
    wanted = set(sorted({customer for customer, _, _ in made})[::EVERY])
    return [line for line in made if line[0] in wanted]


def test_the_classes_of_every_customer_are_those_of_the_file(lines: Lines) -> None:
    run = members_by_date(lines)
    for day in DATES:
        members, figures = next(run), figures_at(lines, day)
        for name in RULES:
            assert members[name] == figures[name], (name, day)
    assert all(members.values()), "somebody is in every class in the end"


@pytest.mark.slow
def test_audiences_published_after_the_fact_have_the_members_of_the_file(lines: Lines) -> None:
    """At each of the dates to a partition that has run without them, as of then and of the date after."""
    way = Way(cache_rows=100_000, batches=(500,))
    for at, day in enumerate(DATES):
        publication = Publication(new_pipeline(Limits(), 1_000_000), 0, way)
        log = [
            Rec("events", 0, offset, midnight(on), customer.encode(), body_of(customer, dollars))
            for offset, (customer, on, dollars) in enumerate(sorted(lines, key=lambda line: line[1]))
        ]
        live, until = publication.live, midnight(day) + DAY_MS // 2
        before = [each for each in log if each.timestamp <= until]
        settled(live, live.apply(before))
        assert not time_passes(live, until, 1000)
        assert not publication.cut(audiences(), before, Random(at))
        members: dict[str, set[str]] = {name: set() for name in RULES}
        follow(members, swept(live, 1000))
        assert members == figures_at(lines, day), day
        for later in DATES[at + 1 : at + 2]:
            until_then = midnight(later) + DAY_MS // 2
            after = [each for each in log[len(before) :] if each.timestamp <= until_then]
            follow(members, settled(live, live.apply(after)))
            follow(members, time_passes(live, until_then, 1000))
            assert members == figures_at(lines, later), (day, later)


def follow(members: dict[str, set[str]], transitions: list[Transition]) -> None:
    for each in transitions:
        change = members[each.audience].add if each.is_enter else members[each.audience].remove
        change(each.user_id)


def figures_at(lines: Lines, day: date) -> dict[str, set[str]]:
    """Who is in which class at noon of a day, from the lines alone."""
    days: dict[str, set[date]] = defaultdict(set)
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for customer, on, dollars in lines:
        if on <= day:
            days[customer].add(on)
            spent[customer] += dollars
    found: dict[str, set[str]] = {name: set() for name in RULES}
    for customer, bought in days.items():
        recency = class_of((day - max(bought)).days, DAYS_AGO)
        frequency = class_of(len(bought), TIMES)
        value = class_of(spent[customer], DOLLARS)
        for name, at in (("r", recency), ("f", frequency), ("m", value)):
            found[f"{name}{at}"].add(customer)
        if (recency, frequency, value) == (0, 3, 3):
            found["best"].add(customer)
        if recency >= 2 and value == 3:
            found["at_risk"].add(customer)
        if 3 - recency + frequency + value >= 8:
            found["score_8"].add(customer)
    return found


def class_of(value: int | Decimal, classes: list[tuple[int, int]]) -> int:
    return next(at for at, (low, high) in enumerate(classes) if low <= value < high)


def members_by_date(lines: Lines) -> Iterator[dict[str, set[str]]]:
    """The members of each audience at noon of each of the dates: a purchase is at midnight of its day."""
    pipeline = Pipeline(Place(0, 1), Profiles(MemoryStore(), 1_000_000), Limits())
    pipeline.define(compile_rules([PublishedAudience(each, 1) for each in audiences().values()]))
    members: dict[str, set[str]] = {name: set() for name in RULES}

    def take(step: Step) -> None:
        assert not step.dead
        follow(members, step.transitions)
        pipeline.acked(step)
        pipeline.profiles.durable(step.staged)

    offsets = count()
    waiting = sorted(lines, key=lambda line: line[1])
    for day in DATES:
        due = [line for line in waiting if line[1] <= day]
        waiting = waiting[len(due) :]
        records = [record(next(offsets), *line) for line in due]
        for at in range(0, len(records), 500):
            take(pipeline.apply(records[at : at + 500]))
        take(pipeline.punctuate(midnight(day) + DAY_MS // 2, 1000))
        while pipeline.overdue:
            take(pipeline.punctuate(midnight(day) + DAY_MS // 2, 1000))
        yield members


def audiences() -> dict[str, Audience]:
    return parsed([{"id": name, "name": name, "rule": rule} for name, rule in RULES.items()])


def body_of(customer: str, dollars: Decimal) -> bytes:
    body = {"user_id": customer, "event": "purchase", "properties": {"dollars": float(dollars)}}
    return json.dumps(body).encode()


def record(offset: int, customer: str, day: date, dollars: Decimal) -> LineRecord:
    return LineRecord(offset, midnight(day), customer.encode(), body_of(customer, dollars))


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
