"""The page of contracts: its tables are those of the code, its examples are as the schemas say."""

from __future__ import annotations

import json
import re

import pytest

from app.asyncapi.document import asyncapi_of
from app.asyncapi.reference import TABLES
from app.settings.tree import load_settings
from rules.write.reference import fill
from tests import ROOT
from tests.app.asyncapi.contract import Contract

PAGE = (ROOT / "docs/contracts.md").read_text(encoding="utf-8")
EXAMPLES = [
    text
    for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for text in re.split(r"\n(?=\{)", block.strip())
]


def test_the_tables_are_those_of_the_code() -> None:
    assert fill(PAGE, TABLES) == PAGE, "stale: run python docs/generate.py"
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE)) == set(TABLES)


@pytest.mark.parametrize("text", EXAMPLES, ids=str)
def test_examples_are_as_the_schemas_say(text: str) -> None:
    record = json.loads(text)
    contract = Contract(asyncapi_of(load_settings(environ={})))
    kind = "transition" if "seq" in record else record.get("type", "track")
    assert contract.why_not_payload(kind, record) == []
