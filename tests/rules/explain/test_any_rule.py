"""Whatever rule can be written is explained as it is decided."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.decide.decide import apply_event, apply_profile, fire, new_row
from rules.decide.predict import predict_exit
from rules.explain.as_json import explained_document
from rules.explain.explain import KINDS, Explained, Kind, explain
from rules.explain.facts import EventFacts, MembershipFacts, NotFollowedFacts, SequenceFacts
from rules.model import language
from rules.predicates.comparisons import comparison_of
from rules.state.profile_update import ProfileUpdate
from tests import audiences as some
from tests.strategies.fuzzing import usual

T = 1_704_067_200_000
DAY = 86_400_000

EVERY_KIND: dict[str, st.SearchStrategy[language.Rule]] = {
    "event": some.event_conditions,
    "sequence": some.sequences(),
    "not_followed_by": some.not_followed,
    "attribute": some.attribute_conditions,
    "audience": some.audiences_in_rules,
    "all": st.builds(language.All, st.lists(some.rules, min_size=1, max_size=3).map(tuple)),
    "any": st.builds(language.Any, st.lists(some.rules, min_size=1, max_size=3).map(tuple)),
    "not": st.builds(language.Not, some.rules),
    "at_least": some.at_least(some.rules),
    "score": some.scores(some.rules),
}
counts: dict[str, tuple[language.Comparison, language.Window]] = {
    "vip": (language.Comparison("gte", 1), None),
    "a": (language.Comparison("lt", 2), language.Within(500)),
    "B_2": (language.Comparison("gte", 1), language.Within(10)),
}
others = [
    language.Audience(
        id, id, language.EventCondition(("a",), None, language.Aggregate("count", None, (bound,)), window)
    )
    for id, (bound, window) in counts.items()
]
values = some.scalars | st.lists(some.scalars, max_size=2) | some.instants
facts = st.dictionaries(some.names, values, max_size=4)
moves = st.lists(
    st.tuples(st.sampled_from([0, 1, 400, DAY]), st.integers(0, 1000), some.names | st.none(), facts),
    max_size=6,
)


batch = st.none() | some.schedules


def test_every_kind_of_node_is_drawn() -> None:
    assert set(EVERY_KIND) == set(KINDS.values())
    assert {*EVERY_KIND, "batch"} == set(get_args(Kind))


@pytest.mark.parametrize("kind", EVERY_KIND)
@settings(max_examples=usual(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_rule_is_explained_as_it_is_decided(kind: str, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(["UTC", "America/New_York"]))
    source = language.Audience("it", "It", data.draw(EVERY_KIND[kind]), timezone=zone)
    schedule = data.draw(batch)
    if schedule is not None:
        source = replace(source, type="batch", schedule=schedule)
    rules = compile_rules([PublishedAudience(each, 1) for each in (source, *others)]).project("default")
    row, now_ms = new_row(T), T
    for number, (step, late, name, properties) in enumerate(data.draw(moves)):
        now_ms += step
        fire(rules, "ann", row, now_ms, [])
        if name is None:
            update = ProfileUpdate(None, now_ms, properties, {}, (), {})
            apply_profile(rules, "ann", row, update, now_ms, number > 0, [])
        else:
            apply_event(rules, "ann", row, name, None, now_ms - late, properties, now_ms, number > 0, [])
    now_ms += data.draw(st.sampled_from([0, 1, DAY]))
    fire(rules, "ann", row, now_ms + 1, [])
    audience = rules.by_id("it")
    assert audience is not None
    before = msgspec.msgpack.encode(row)
    explained = explain(rules, audience, row, now_ms)
    assert msgspec.msgpack.encode(row) == before
    assert (explained.kind if schedule is None else explained.parts[0].kind) == kind
    assert explained.value is audience.decided.truth(row, now_ms)
    membership = row.audiences.get(audience.key)
    if explained.value and membership is not None:
        assert explained.timer_ms == predict_exit(rules, audience, row, now_ms)
    nodes = list(_nodes(explained))
    for node in nodes:
        assert node.text.endswith(".")
        assert node.found.endswith(".")
        assert (node.text + node.found).isprintable()
        assert node.timer_ms is None or node.timer_ms > now_ms
        assert (node.facts is None) == (bool(node.parts) and node.kind != "batch")
        assert _as_the_facts_say(node) in (node.value, None)
    leaves = [node.rule for node in nodes if not node.parts]
    assert leaves == list(language.conditions(source.rule))
    msgspec.json.encode(explained_document(explained))


def _as_the_facts_say(node: Explained) -> bool | None:
    """The value that the told facts give; None: they don't hold all of it."""
    match node.facts, node.rule:
        case EventFacts(number=None), language.EventCondition(
            aggregate=language.Aggregate(kind="avg" | "min" | "max")
        ):
            return False
        case EventFacts(number=int() | float() as number), language.EventCondition(aggregate=aggregate):
            return comparison_of(aggregate.comparisons)(number)
        case SequenceFacts(ends_ms=found) | NotFollowedFacts(events_ms=found), _:
            return bool(found)
        case MembershipFacts(inside=inside), language.InAudience(for_ms=None):
            return inside
        case _:
            return None


def _nodes(explained: Explained) -> list[Explained]:
    return [explained, *(each for part in explained.parts for each in _nodes(part))]
