"""Destinations and audiences in the README and the pages on delivery are as the program wants them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.deliver.parse import load_destinations
from rules.parse import load_definitions

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```yaml\n(.+?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ["README.md", "docs/delivery.md", "docs/eventhub.md"])
def test_destinations_in_the_documentation_are_destinations(page: str) -> None:
    found = [each for each in blocks(page) if "\nkind: " in each]
    assert found
    for number, text in enumerate(found):
        assert len(load_destinations([(f"{page} {number}", text)])) == 1


def test_the_audience_in_the_readme_is_an_audience() -> None:
    (text,) = [each for each in blocks("README.md") if "\nrule:" in each]
    (audience,) = load_definitions([("README.md", text)])
    assert audience.id == "cart_abandoners"
