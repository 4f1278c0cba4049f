"""The pipeline against the model over the whole language: the same transitions, whatever the batching,
crashes and idle times. ``make fuzz`` asks for more examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies.agreement import agree
from tests.strategies.examples import Example, examples
from tests.strategies.fuzzing import examples_of, usual

NO_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=usual(250), deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_the_pipeline_agrees_with_the_model(example: Example) -> None:
    agree(example)


@pytest.mark.slow
@settings(max_examples=examples_of(1000), deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_the_pipeline_agrees_with_the_model_at_length(example: Example) -> None:
    agree(example)


@settings(max_examples=usual(15), deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_the_pipeline_over_rocksdb_agrees_with_the_model(
    tmp_path_factory: pytest.TempPathFactory, example: Example
) -> None:
    agree(example, Path(tmp_path_factory.mktemp("rocks")))
