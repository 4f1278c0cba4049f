"""The pipeline against the model: the same transitions, whatever the batching, crashes and idle times.

A part of the language, in shorter histories than ``test_language_against_model`` has. ``make fuzz`` asks for
more examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agents.evaluate.histories import audiences, compare, histories
from tests.strategies.fuzzing import examples_of, usual

NO_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
Histories = list[tuple[Any, ...]]


@settings(max_examples=usual(50), deadline=None, suppress_health_check=NO_CHECKS)
@given(audiences, histories, st.integers(0, 2**16))
def test_the_pipeline_agrees_with_the_model(definitions: Any, history: Histories, seed: int) -> None:
    compare(definitions, history, seed)


@pytest.mark.slow
@settings(max_examples=examples_of(500), deadline=None, suppress_health_check=NO_CHECKS)
@given(audiences, histories, st.integers(0, 2**16))
def test_the_pipeline_agrees_with_the_model_at_length(
    definitions: Any, history: Histories, seed: int
) -> None:
    compare(definitions, history, seed)


@settings(max_examples=usual(15), deadline=None, suppress_health_check=NO_CHECKS)
@given(audiences, histories, st.integers(0, 2**16))
def test_the_pipeline_over_rocksdb_agrees_with_the_model(
    tmp_path_factory: pytest.TempPathFactory, definitions: Any, history: Histories, seed: int
) -> None:
    compare(definitions, history, seed, Path(tmp_path_factory.mktemp("rocks")))
