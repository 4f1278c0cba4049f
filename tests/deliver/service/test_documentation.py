"""Destinations and audiences in the README and the pages on delivery are as the program wants them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.deliver.definitions.parse import load_destinations
from app.commands import deliver
from rules.parse.definitions import load_definitions

ROOT = Path(__file__).parents[3]
LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")
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


def test_help_tells_the_defaults() -> None:
    told = CliRunner().invoke(deliver.cli, ["test", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "Id of an audience. [default: (its first, by name)]" in " ".join(told.split())
    assert "[default: turnstile-test]" in told


@pytest.mark.parametrize("page", ["README.md", "docs/delivery.md", "docs/eventhub.md", "docs/connections.md"])
def test_links_lead_to_pages(page: str) -> None:
    file = ROOT / page
    links = LINK.findall(file.read_text(encoding="utf-8"))
    assert links
    assert [each for each in links if not (file.parent / each).exists()] == []
