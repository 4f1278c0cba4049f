"""What profile updates do to attributes, where JSON and Python differ."""

from __future__ import annotations

import pytest

from rules.state.profile_update import ProfileUpdate, change_attributes
from rules.state.row import Row


@pytest.mark.parametrize(
    ("kept", "new"),
    [(1, True), (0, False), ([1, "bool"], True), ([1, "bool"], [True, "bool"]), ({"a": 1}, {"a": True})],
)
def test_true_is_another_element_than_one_inside_lists_and_objects_too(kept: object, new: object) -> None:
    row = Row(0)
    append = {"list": [kept, new, kept, new]}
    change_attributes(
        row, ProfileUpdate(id=None, time_ms=0, set={}, set_once={}, unset=(), add={}, append=append), 0
    )
    assert row.attributes["list"] == [kept, new]
    assert [type(each) for each in row.attributes["list"]] == [type(kept), type(new)]
