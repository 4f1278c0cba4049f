"""Tests that drive pipelines run twice: with the engine that a worker takes by itself, and with Python's.

Left out are those that take long, and hypothesis, because those compare the engines or name one themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.engines import is_built
from tests.distribution import takes_long
from tests.driver.driver import Driver

FIXTURE = "engine_of_drivers"


def for_each_engine(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test whose module has the driver. Where there is one engine there is no second run."""
    if metafunc.module.__dict__.get("Driver") is not Driver or not is_built():
        return
    is_hypothesis = getattr(metafunc.function, "is_hypothesis_test", False)
    if not is_hypothesis and not takes_long(metafunc.definition):
        metafunc.parametrize(FIXTURE, [Driver.wanted, "python"], indirect=True)


@pytest.fixture(autouse=True)
def engine_of_drivers(request: pytest.FixtureRequest) -> Iterator[None]:
    """The engine that drivers take, for tests that ``for_each_engine`` has doubled."""
    usual = Driver.wanted
    Driver.wanted = getattr(request, "param", usual)
    yield
    Driver.wanted = usual
