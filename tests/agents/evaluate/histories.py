"""Random definitions and logs, and a run of them through the driver and the model."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.driver.driver import Crash, Driver, Until
from tests.model import Model

TINY_BYTES = 300
"""Every outbox is cut into chunks of some thirty bytes."""
START = 1_700_000_000_000
USERS = ["ann", "bob", "cy"]
EVENTS = ["view", "buy", "rate"]
NUMBERS = [0, 1, 2, -1, 0.1, 0.2, 0.3, 1.0, 2.5, 1e16, -1e16]
SCALARS = [0, 1, 1.0, 2, "1", "a", "ab", "AB", True, False, None, "2024-05-01", "2024-05-01T12:00:00Z"]
VALUES = [*SCALARS, *NUMBERS, ["a", 1], [], {"n": 1}, {"n": "a"}]

durations = st.sampled_from(["2ms", "3ms", "5ms", "8ms", "13ms", "1s"])
scalars = st.sampled_from(SCALARS)
lists = st.lists(scalars, min_size=1, max_size=3)
texts = st.sampled_from(["a", "A", "ab", ""])
bounds = st.sampled_from([0, 1, 2, 0.5])


def pairs(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(st.sampled_from(values), st.sampled_from(values)).map(sorted)


operators = st.one_of(
    st.tuples(st.sampled_from(["eq", "ne", "contains", "not_contains"]), scalars),
    st.tuples(st.sampled_from(["in", "not_in", "any_of", "all_of"]), lists),
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte"]), bounds | st.just("2024-05-01T06:00:00+01:00")),
    st.tuples(st.just("between"), pairs([0, 1, 2]) | st.just(["2024-05-01", "2024-05-02"])),
    st.tuples(st.sampled_from(["starts_with", "ends_with", "icontains", "ieq", "matches"]), texts),
    st.tuples(st.just("exists"), st.booleans()),
)
tests = st.lists(operators, min_size=1, max_size=2).map(dict)
names = st.sampled_from(["p", "q", "o.n"])
where_leaf = st.dictionaries(names, tests | st.sampled_from(["a", 1, True, ["a", 1]]), min_size=1, max_size=2)
where = st.one_of(
    where_leaf,
    where_leaf.map(lambda part: {"not": part}),
    st.tuples(st.sampled_from(["all", "any"]), st.lists(where_leaf, min_size=1, max_size=2)).map(
        lambda pair: {pair[0]: pair[1]}
    ),
)

whole = st.integers(0, 3)
counted = st.one_of(
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne"]), whole).map(lambda pair: dict([pair])),
    pairs([0, 1, 2, 3]).map(lambda pair: {"between": pair}),
    st.tuples(whole, whole).map(lambda pair: {"gte": pair[0], "ne": pair[1]}),
)
summed = st.one_of(
    st.tuples(st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne"]), st.sampled_from([0, 0.3, 1, 2.5, -1])),
    st.tuples(st.just("between"), pairs([0, 0.3, 1, 2.5, -1])),
).map(lambda pair: dict([pair]))
aggregates = st.one_of(
    st.just({}),
    counted.map(lambda bound: {"count": bound}),
    st.tuples(names, counted).map(lambda pair: {"distinct": {"property": pair[0], **pair[1]}}),
    st.tuples(names, summed).map(lambda pair: {"sum": {"property": pair[0], **pair[1]}}),
)
windows = durations.map(lambda length: {"within": length})
event_conditions = st.builds(
    lambda event, window, where, aggregate: {"event": event} | window | where | aggregate,
    st.sampled_from([*EVENTS, "*", ["view", "buy"]]),
    st.booleans().flatmap(lambda some: windows if some else st.just({})),
    st.integers(0, 3).flatmap(lambda few: st.just({}) if few else where.map(lambda each: {"where": each})),
    aggregates,
)
attribute_conditions = st.builds(
    lambda name, each: {"attribute": name} | each, st.sampled_from(["x", "y", "x.n"]), tests
)
rules = st.recursive(
    event_conditions | event_conditions | attribute_conditions,
    lambda inner: st.one_of(
        inner.map(lambda part: {"not": part}),
        st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)).map(
            lambda pair: {pair[0]: pair[1]}
        ),
    ),
    max_leaves=4,
)
audiences = st.lists(rules, min_size=1, max_size=4).map(
    lambda each: [{"id": f"a{at}", "name": f"A{at}", "rule": rule} for at, rule in enumerate(each)]
)

steps = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, -2, 8])
properties = st.dictionaries(st.sampled_from("pqo"), st.sampled_from(VALUES), max_size=3)
tracks = st.tuples(
    st.just("track"),
    st.sampled_from(USERS),
    steps,
    st.sampled_from(EVENTS),
    st.sampled_from([0, 0, -1, -3, -6, 4]),
    properties,
)
some_attributes = st.dictionaries(st.sampled_from("xy"), st.sampled_from(VALUES), max_size=2)
updates = st.fixed_dictionaries(
    {},
    optional={
        "set": some_attributes,
        "set_once": some_attributes,
        "unset": st.lists(st.sampled_from("xy"), max_size=1),
        "add": st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, -1, 0.5]), max_size=2),
    },
).filter(lambda update: any(update.values()))
profiles = st.tuples(st.just("profile"), st.sampled_from(USERS), steps, updates)
idles = st.tuples(st.just("advance"), st.integers(0, 9), st.integers(1, 3))
looks = st.tuples(st.just("look"), st.sampled_from(USERS), st.integers(-2, 9))
commits = st.tuples(st.just("commit"))
crashes = st.tuples(st.just("crash"), st.integers(0, 12), st.booleans(), st.booleans(), st.integers(1, 5))
happenings = st.one_of(tracks, tracks, tracks, tracks, profiles, idles, looks, commits, crashes)
histories = st.integers(4, 40).flatmap(lambda size: st.lists(happenings, min_size=size, max_size=size))


def compare(
    definitions: list[dict[str, Any]],
    history: list[tuple[Any, ...]],
    seed: int,
    directory: Path | None = None,
) -> int:
    """Run a history through the driver and the model; the number of transitions on which they agree."""
    random = Random(seed)
    share = random.choice([0.3, 1.0])
    driver = Driver(
        json.dumps({"audiences": definitions}),
        directory=directory,
        cache_rows=random.choice([2, 100]),
        in_flight=random.randrange(3),
        cycle_steps=random.choice([1, 1, 2, 3]),
        outbox_bytes=random.choice([None, TINY_BYTES]),
    )
    driver.notes = random.random() < 0.5
    driver.compacts = lambda: random.random() < share
    driver.producer.batch_records = random.choice([1, 3, 1000])
    model = Model(definitions)
    most = random.choice([1, 3, 20])
    wall_ms, waiting = START, 0
    for number, (kind, *rest) in enumerate(history):
        if kind in ("track", "profile"):
            wall_ms += rest[1]
            body = _body(kind, rest, wall_ms, number)
            driver.send(body, wall_ms)
            model.record(body, wall_ms)
            waiting += 1
        elif kind == "advance":
            wall_ms = max(wall_ms, model.stream_time_ms) + rest[0]
            driver.parts[0].inbox.append(Until(wall_ms, rest[1]))
            model.advance(wall_ms)
        elif kind == "crash":
            driver.crash_after(rest[0])
        if kind in ("look", "commit", "crash") or number % most == 0:
            _run(driver, random, most)
        if kind == "commit":
            driver.commit_offsets()
        elif kind == "look":
            at_ms = max(wall_ms + rest[1], model.stream_time_ms)
            found = driver.members(rest[0], at_ms)
            assert found == model.members(rest[0], at_ms), f"members at {at_ms}"
        elif kind == "crash":
            driver.crash_after(10**9)
            _restart(driver, rest[1], rest[2], rest[3])
    # Timers of users without a further record may come out any time after the clock has passed them.
    end_ms = max(wall_ms, model.stream_time_ms) + 1
    driver.parts[0].inbox.append(Until(end_ms, 500))
    model.advance(end_ms)
    _run(driver, random, most)
    _check(driver, model)
    return len(driver.transitions)


def _body(kind: str, rest: list[Any], at_ms: int, number: int) -> dict[str, Any]:
    if kind == "profile":
        return {"type": "profile", "id": f"r{number}", "user_id": rest[0]} | rest[2]
    body = {"user_id": rest[0], "event": rest[2], "id": f"r{number}", "properties": rest[4]}
    return body | ({"time": at_ms + rest[3]} if rest[3] else {})


def _run(driver: Driver, random: Random, most: int) -> None:
    while True:
        try:
            return driver.run(lambda: random.randint(1, most))
        except Crash:
            _restart(driver, random.random() < 0.2, random.random() < 0.5, random.randint(1, 5))


def _restart(driver: Driver, lose_store: bool, compact: bool, chunk: int) -> None:
    while True:
        try:
            return driver.restart(lose_store=lose_store, compact=compact, chunk=chunk)
        except Crash:
            continue


def _check(driver: Driver, model: Model) -> None:
    made: dict[str, list[dict[str, Any]]] = {}
    for body in driver.transitions:
        wanted = {name: body[name] for name in next(iter(model.expected.values()), [body])[0]}
        made.setdefault(body["user_id"], []).append(wanted)
    assert made == model.expected
    assert driver.dead == []
