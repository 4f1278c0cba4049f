"""The pipeline against the model over the whole language: the same transitions, whatever the batching,
crashes and idle times. ``make fuzz`` asks for more examples, through TURNSTILE_FUZZ_EXAMPLES."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies.agreement import agree
from tests.strategies.examples import Example, examples

NO_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FUZZ_EXAMPLES = int(os.environ.get("TURNSTILE_FUZZ_EXAMPLES", "2750"))


@settings(max_examples=250, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_the_pipeline_agrees_with_the_model(example: Example) -> None:
    agree(example)


@pytest.mark.slow
@settings(max_examples=FUZZ_EXAMPLES, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_the_pipeline_agrees_with_the_model_at_length(example: Example) -> None:
    agree(example)


@settings(max_examples=15, deadline=None, suppress_health_check=NO_CHECKS)
@given(examples())
def test_the_pipeline_over_rocksdb_agrees_with_the_model(
    tmp_path_factory: pytest.TempPathFactory, example: Example
) -> None:
    agree(example, Path(tmp_path_factory.mktemp("rocks")))
