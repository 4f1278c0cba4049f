"""The model itself: between two of its instants nothing changes by time alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.instants import instant_ms
from tests.model.partition import Model
from tests.model.truth import audience_truth
from tests.strategies.definitions import audiences
from tests.strategies.dice import drawn
from tests.strategies.domains import SHORT
from tests.strategies.examples import NUMBERS, record_body
from tests.strategies.fuzzing import usual
from tests.strategies.histories import happening

START_MS = (instant_ms("2024-03-31T01:00:00Z") or 0) - 15
"""The rules' periods and the clocks change in between."""
DOMAIN = replace(SHORT, start_ms=START_MS)
NO_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=usual(60), deadline=None, suppress_health_check=NO_CHECKS)
@given(st.composite(lambda draw: audiences(drawn(draw), DOMAIN))(), NUMBERS, st.integers(10, 60))
def test_looking_every_millisecond_finds_no_more_timers(
    definitions: Any, numbers: list[int], length: int
) -> None:
    history = [happening(number, DOMAIN) for number in numbers]
    model = Model(definitions)
    wall_ms = START_MS
    for number, (kind, *rest) in enumerate(history):
        if kind in ("track", "profile"):
            wall_ms += rest[1]
            model.record(record_body(kind, tuple(rest), wall_ms, number), wall_ms)
    for user in model.users.values():
        every, listed = user.if_nothing_happens(), user.if_nothing_happens()
        until_ms = model.stream_time_ms + length
        for at_ms in range(user.last_ms + 1, until_ms):
            for name in model.order:
                stays = every.stays[name]
                inside = audience_truth(model.definitions[name], every, at_ms, model.created_ms)
                if inside != (len(stays) % 2 == 1):
                    stays.append(at_ms)
        for _ in model._future(listed, model.order, until_ms):
            pass
        assert every.stays == listed.stays
