"""Attributes aren't pushed back to the system that they came from."""

from __future__ import annotations

from agents.pushes.content.origins import pushed_back
from agents.pushes.contract.push import AttributeColumn, Content


def test_an_attribute_is_not_pushed_back_to_the_system_that_it_came_from() -> None:
    labels = (("social", "level"), ("city",), ("shop",))
    content = Content(attributes=tuple(AttributeColumn(path, path[-1]) for path in labels))
    origins = {"social": "social_interaction", "shop": "retail_crm"}

    assert pushed_back(content, origins, "social_interaction") == ("social.level",)
    assert pushed_back(content, origins, "data_bank") == ()


def test_an_attribute_that_holds_such_a_part_is_not_pushed_back_as_a_whole() -> None:
    content = Content(attributes=(AttributeColumn(("profile",), "p"), AttributeColumn(("profil",), "q")))
    origins = {"profile": "retail_crm", "profile.social.level": "social_interaction"}
    assert pushed_back(content, origins, "social_interaction") == ("profile",)
    assert pushed_back(content, origins, "retail_crm") == ("profile",)
