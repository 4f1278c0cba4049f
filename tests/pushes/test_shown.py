"""A run as `turnstile push show` prints it."""

from __future__ import annotations

import msgspec

from agents.pushes.runs import Run
from app.pushes.shown import lines_of


def test_a_run_tells_when_it_ran_why_it_failed_and_which_list_it_had() -> None:
    definition = msgspec.Raw(b"{}")
    run = Run("r1", "shop", "p", 1, 3, definition, "schedule", 0, "failed", 0, 9_000, queue="module")
    run = msgspec.structs.replace(run, code="refused", reason="the bucket isn't there", started_ms=1_000)
    run = msgspec.structs.replace(run, ended_ms=9_000, instant_ms=2_000, list_id="r1-1", rows=3, members=2)
    told = dict(lines_of(run))
    assert (told["started"], told["ended"]) == ("1970-01-01T00:00:01.000Z", "1970-01-01T00:00:09.000Z")
    assert (told["code"], told["reason"]) == ("refused", "the bucket isn't there")
    assert (told["queue"], told["list"], told["ids"]) == ("module", "r1-1", "3")
