"""What is older than the lookback says nothing: from the records since then and the row's attributes the
model finds the members that it finds in the whole log. A millisecond less, and it doesn't."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings

from rules.model.language import Audience
from rules.model.lookback import lookback_ms, replays_everything
from rules.parse.definitions import load_definitions
from tests.model import Model
from tests.model.facts import Known
from tests.model.operators import same_json
from tests.model.partition import closure
from tests.strategies.definitions import audiences
from tests.strategies.dice import rolled
from tests.strategies.domains import SHORT, some_domain
from tests.strategies.examples import Example, examples, record_body
from tests.strategies.histories import Happening, happening

Json = Any
Log = list[tuple[Json, int]]
"""Records with their timestamps."""


@dataclass(frozen=True)
class Told:
    """One audience at the end of the log: who is in it, by the whole log and by the end of it."""

    kind: str
    whole: set[str]
    cut: set[str]


def log_of(start_ms: int, history: Sequence[Happening], with_ids: bool) -> Log:
    """The records of a history. An id comes twice at most: of three, the first may be forgotten by the third
    and not by the second, so that no end of a log is enough to tell what the third is."""
    log: Log = []
    wall_ms, times = start_ms, Counter[tuple[str, str, str]]()
    for number, (kind, *rest) in enumerate(history):
        if kind == "advance":
            wall_ms += rest[0]
        elif kind in ("track", "profile"):
            wall_ms += rest[1]
            body = record_body(kind, tuple(rest), wall_ms, number)
            named = body["user_id"], body.get("event", ""), body.get("id", "")
            times[named] += 1
            if times[named] > 2 or not with_ids:
                body.pop("id", None)
            log.append((body, wall_ms))
    return log


def compare(
    definitions: list[Json], log: Log, dedupe_ms: int, shorter_ms: int = 0, trust_rows: bool = False
) -> Iterator[Told]:
    """Every audience whose lookback has an end. ``dedupe_ms`` 0: the log has no ids.

    ``trust_rows``: also those for which what attributes were matters.
    """
    at_ms = max(timestamp_ms for _, timestamp_ms in log)
    by_id = {each.id: each for each in load_definitions([("x", json.dumps({"audiences": definitions}))])}
    by_name = {each["id"]: each for each in definitions}
    whole = Model(definitions, dedupe_ms, at_ms)
    for body, timestamp_ms in log:
        whole.record(body, timestamp_ms)
    for name, audience in by_id.items():
        needed_ms = lookback_ms(audience, by_id, dedupe_ms, at_ms)
        if needed_ms is None or (replays_everything([audience], by_id) and not trust_rows):
            continue
        asked = [by_name[each] for each in closure(name, by_name)]
        cut = model_of_the_end(asked, log, dedupe_ms, at_ms, at_ms - needed_ms + shorter_ms, whole)
        yield Told(kind_of(audience), members(whole, name, at_ms), members(cut, name, at_ms))


def model_of_the_end(
    definitions: list[Json], log: Log, dedupe_ms: int, at_ms: int, from_ms: int, whole: Model
) -> Model:
    """The model of the records from the first above ``from_ms`` on, and of the rows of those before."""
    cut = Model(definitions, dedupe_ms, at_ms)
    begin = next((at for at, (_, timestamp_ms) in enumerate(log) if timestamp_ms > from_ms), len(log))
    rows = {
        name: Known(user.first_ms, user.first_ms, versions=row_of(user)) for name, user in whole.users.items()
    }
    for name in {body["user_id"]: None for body, _ in log[:begin]}:
        row = rows.pop(name)
        cut.begin(name, Known(row.first_ms, from_ms, versions=row.versions), from_ms)
    cut.users |= rows
    for body, timestamp_ms in log[begin:]:
        unchanged = {"type": "profile", "user_id": body["user_id"]}
        cut.record(unchanged if body.get("type") == "profile" else body, timestamp_ms)
    return cut


def row_of(user: Known) -> list[tuple[int, dict[str, Json]]]:
    """What a row has of attributes: how they are now, and when each was last changed."""
    now = user.versions[-1][1] if user.versions else {}
    changed: dict[str, int] = {}
    before: Mapping[str, Json] = {}
    for applied_ms, attributes in user.versions:
        for name in {*before, *attributes}:
            if name not in before or name not in attributes or not same_json(before[name], attributes[name]):
                changed[name] = applied_ms
        before = attributes
    versions: list[tuple[int, dict[str, Json]]] = [(-(10**15), dict.fromkeys(changed, "?"))]
    for name in sorted(changed, key=lambda each: changed[each]):
        attributes = {key: value for key, value in versions[-1][1].items() if key != name}
        versions.append((changed[name], attributes | ({name: now[name]} if name in now else {})))
    return versions


def members(model: Model, audience: str, at_ms: int) -> set[str]:
    return {user for user in model.users if audience in model.members(user, at_ms)}


def kind_of(audience: Audience) -> str:
    return audience.type if audience.type == "batch" else type(audience.rule).__name__


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(examples())
def test_the_end_of_the_log_and_the_row_are_enough(example: Example) -> None:
    log = log_of(example.start_ms, example.history, with_ids=True)
    if log:
        for told in compare(example.definitions, log, example.dedupe_ms):
            assert told.cut == told.whole, told


SEEDS = range(60)


def made(seed: int, with_ids: bool) -> tuple[list[Json], Log]:
    """Of short durations, so that instants coincide."""
    dice = rolled(seed)
    domain = some_domain(dice)
    while domain.durations[0] not in SHORT.durations:
        domain = some_domain(dice)
    definitions = audiences(dice, domain)
    history = [happening(dice.whole(0, 2**30), domain) for _ in range(24)]
    return definitions, log_of(domain.start_ms, history, with_ids)


def differing(seeds: range, **how: Any) -> tuple[Counter[str], Counter[str]]:
    """How many audiences of each kind were looked at, and of how many the end told other members.

    At each record's instant."""
    looked, wrong = Counter[str](), Counter[str]()
    for seed in seeds:
        definitions, log = made(seed, with_ids=False)
        for end in range(1, len(log) + 1):
            for told in compare(definitions, log[:end], 0, **how):
                looked[told.kind] += 1
                wrong[told.kind] += told.cut != told.whole
    return looked, wrong


@pytest.mark.slow
def test_a_millisecond_less_is_not() -> None:
    looked, wrong = differing(SEEDS)
    assert min(looked[kind] for kind in ("EventCondition", "Sequence", "NotFollowed", "InAudience")) >= 5
    assert not +wrong
    _, wrong = differing(SEEDS, shorter_ms=1)
    assert wrong["EventCondition"]


T = 1_700_000_000_000
WEEK = {"id": "a", "name": "A", "rule": {"event": "e", "within": "7ms"}}


def defined(rule: Json, **head: Json) -> Json:
    return {"id": "z", "name": "Z", "rule": rule, **head}


def at(ms: int, event: str = "e", **more: Json) -> tuple[Json, int]:
    return {"user_id": "ann", "event": event, "properties": {}, **more}, T + ms


@pytest.mark.parametrize(
    ("definitions", "log"),
    [
        ([WEEK], [at(0), at(6, "-")]),
        ([defined({"not": WEEK["rule"]})], [at(0), at(6, "-")]),
        ([defined({"event": "e", "between_ago": ["7ms", "2ms"]})], [at(0), at(6, "-")]),
        ([defined({"event": "e", "from": T})], [at(0), at(6, "-")]),
        ([WEEK, defined({"audience": "a", "for": "3ms"})], [at(0), at(7), at(9, "-")]),
        ([defined({"sequence": [{"event": "e"}, {"event": "f"}], "total": "4ms", "within": "3ms"})],
         [at(0), at(4, "f"), at(6, "-")]),
        ([defined({"sequence": [{"event": "e"}, {"event": "f", "within": "4ms"}], "within": "3ms"})],
         [at(0), at(4, "f"), at(6, "-")]),
        ([defined({"event": "e", "not_followed_by": {"event": "f"}, "for": "2ms", "within": "7ms"})],
         [at(0), at(6, "-")]),
    ],
)  # fmt: skip
def test_each_lookback_is_as_short_as_it_can_be(definitions: list[Json], log: Log) -> None:
    told = list(compare(definitions, log, 0))[-1]
    assert told.cut == told.whole
    shorter = list(compare(definitions, log, 0, shorter_ms=1))[-1]
    assert shorter.cut != shorter.whole


def test_a_repeat_is_known_as_one_by_the_id_that_came_before() -> None:
    first, again, end = at(0, id="1"), at(1_099, id="1"), at(1_105, "-")
    told = list(compare([WEEK], [first, again, end], 100))[-1]
    assert told.whole == told.cut == set()
    shorter = list(compare([WEEK], [first, again, end], 100, shorter_ms=3))[-1]
    assert shorter.cut == {"ann"}


@pytest.mark.parametrize(
    "rule",
    [{"audience": "a", "for": "5ms"}, {"event": "e", "count": {"gte": 1}, "within": {"audience": "a"}}],
    ids=str,
)
def test_the_row_alone_does_not_tell_what_attributes_were(rule: Json) -> None:
    positive = {"id": "a", "name": "A", "rule": {"attribute": "x", "gte": 1}}
    updates = [({"type": "profile", "user_id": "ann", "set": {"x": x}}, T + ms) for ms, x in ((0, 1), (9, 2))]
    log = [updates[0], at(1), updates[1], at(10, "-")]
    assert [each.kind for each in compare([positive, defined(rule)], log, 0)] == ["AttributeCondition"]
    if "for" in rule:
        told = list(compare([positive, defined(rule)], log, 0, trust_rows=True))[-1]
        assert (told.whole, told.cut) == ({"ann"}, set())
