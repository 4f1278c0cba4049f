"""Examples of hypothesis are the same in every run, however slow the machine is."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.fuzzing import IS_FUZZING

RUNS: list[list[int]] = []


@settings(max_examples=3)
@given(st.integers())
def try_some(number: int) -> None:
    if not RUNS[-1]:
        time.sleep(0.3)  # longer than an example may take by default
    RUNS[-1].append(number)


def test_examples_are_alike_in_every_run_and_may_take_their_time() -> None:
    for _ in range(2):
        RUNS.append([])
        try_some()
    assert IS_FUZZING or RUNS[0] == RUNS[1]
