from __future__ import annotations

from rules.model.language import Comparison
from rules.model.points import exact_sum, in_whole_numbers, shown


def test_points_add_up_as_they_are_written() -> None:
    assert shown(exact_sum([0.1, 0.2])) == 0.3
    assert shown(exact_sum([1e16, 1, -1e16])) == 1
    assert repr(shown(exact_sum([0.5, 0.5]))) == "1"


def test_points_and_bounds_are_compared_as_whole_numbers() -> None:
    bounds = (Comparison("gte", 0.25), Comparison("between", (-1, 1e-7)))
    points, wanted = in_whole_numbers([0.1, -2, 1e-7], bounds)
    assert points == [10**6, -2 * 10**7, 1]
    assert wanted == (Comparison("gte", 2_500_000), Comparison("between", (-(10**7), 1)))
