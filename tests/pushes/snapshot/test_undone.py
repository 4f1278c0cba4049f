"""What is undone of the changes after an instant: those of memberships alone."""

from __future__ import annotations

from agents.kafka.consumed import Consumed
from agents.pushes.snapshot.undone import Undone
from rules.state.row import Row
from tables.changelog.format import OUTBOX_HEADER
from tables.codec import Outbox, encode_outbox, encode_row, row_key
from tests.stage.delivery import START_MS, transition


def test_an_event_on_its_way_to_a_destination_is_no_change_of_the_membership() -> None:
    key, row = row_key("default", "ann"), encode_row(Row(START_MS + 9, base_ms=START_MS))
    for destination, changed in (("crm", False), ("", True)):
        sent = transition("ann", 2, "big", destination=destination)
        outbox = encode_outbox(Outbox(1, [sent]))
        undone = Undone("default", "big", START_MS)
        undone.take(
            [Consumed("changelog", 0, 7, START_MS, key, row, [(OUTBOX_HEADER, outbox)])],
            lambda keys: [None for _ in keys],
        )
        assert (undone.before(key) is not None) == changed
