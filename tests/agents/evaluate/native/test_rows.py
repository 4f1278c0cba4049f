"""Rows that can't be right end the worker, whichever engine reads them."""

from __future__ import annotations

import pytest

from agents.evaluate.steps import Limits
from agents.kafka.placement import Place
from tables.row_store import Write
from tables.store import MemoryStore
from tables.store_faults import StoreBroken
from tests.core.engines import native_engine
from tests.driver.driver import Rec, ruleset

RULES = "id: one\nname: One\nrule: {event: buy, within: 1h}\n"
BUY = Rec("events", 0, 0, 1_700_000_000_000, b"ann", b'{"user_id": "ann", "event": "buy"}')


@pytest.mark.parametrize("value", [b"\x02", b"\x02\x93\x01\x02", b"\x02nothing", b"\x93\x01", b"\x01\xc1"])
def test_a_row_that_cannot_be_read_breaks_the_store(value: bytes) -> None:
    store = MemoryStore()
    store.write(Write(rows=[(b"ann", value)]))
    pipeline = native_engine().pipeline(Place(0, 1), store, Limits(), 100)
    pipeline.define(ruleset(RULES))
    with pytest.raises(StoreBroken, match="ann"):
        pipeline.apply([BUY])
