"""How many users an edit will let in and throw out, counted before the cut (rules, section 8a.8).

The live stream goes on meanwhile, so the counts are those of some seconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from agents.backfill.progress.progress import Progress
from agents.backfill.versions.cuts import Computation
from agents.backfill.versions.pending import Target
from agents.evaluate.pipeline import Pipeline
from agents.evaluate.shadow import Shadow
from rules.compile.graft_plan import NO_GRAFT
from rules.decide.decide import fire
from rules.decide.graft import graft, seed
from rules.state.row import Row, Transition
from tables.codec import split_row_key

USERS: Final = 100
"""Read from the store at a time."""
SLICE_SECONDS: Final = 0.004

Counts = dict[str, Counter[str]]
"""Per audience (``project/id``): users who enter, who exit, who are members before."""


async def count_moved(
    live: Pipeline,
    shadow: Shadow,
    made: Computation,
    wait: Callable[[], Awaitable[None]],
    note: Callable[[float, int], None],
) -> dict[Target, Progress]:
    """Per target what its graft would do now. ``wait`` and ``note``: of a ``Throttle``."""
    moved: Counts = {each.audience: Counter() for each in made.targets}
    unstored = set(live.profiles.unstored_keys())
    for keys in _some_at_a_time(live, unstored):
        at = 0
        while at < len(keys):
            await wait()
            begun = time.perf_counter()
            while at < len(keys) and time.perf_counter() - begun < SLICE_SECONDS:
                _count(live, shadow, made, keys[at], moved)
                at += 1
            note(time.perf_counter() - begun, 0)
    return {each: _progress(moved[each.audience]) for each in made.targets}


def _some_at_a_time(live: Pipeline, unstored: set[bytes]) -> Iterator[list[bytes]]:
    """The keys of all rows, each once."""
    yield sorted(unstored)
    after = b""
    while found := live.profiles.scan(after, USERS):
        after = found[-1]
        yield [each for each in found if each not in unstored]


def _count(live: Pipeline, shadow: Shadow, made: Computation, key: bytes, moved: Counts) -> None:
    row = live.profiles.read(key)
    if row is None or row.is_stub:
        return
    project, user_id = split_row_key(key)
    rules, plan = made.rules.project(project), made.grafts.get(project, NO_GRAFT)
    at_ms = max(live.stream_time_ms, row.now_ms)
    found = _shadow_row(shadow, key, project, user_id, row, made.begin_ms, at_ms)
    for audience in rules.audiences:
        name = f"{project}/{audience.id}"
        if name in moved and row.is_in(audience.key):
            moved[name]["member"] += 1
    out: list[Transition] = []
    graft(rules, user_id, row, found, plan, at_ms, out)
    for transition in out:
        counts = moved.get(f"{project}/{transition.audience}")
        if counts is not None:
            counts["enter" if transition.is_enter else "exit"] += 1


def _shadow_row(
    shadow: Shadow, key: bytes, project: str, user_id: str, live: Row, begin_ms: int, at_ms: int
) -> Row:
    rules = shadow.rules.project(project)
    row = shadow.read(key)
    if row is None:
        row = seed(rules, user_id, live, begin_ms, at_ms)
        return Row(at_ms, base_ms=at_ms) if row is None else row
    fire(rules, user_id, row, at_ms, [])
    return row


def _progress(found: Counter[str]) -> Progress:
    return Progress("replaying", enters=found["enter"], exits=found["exit"], members=found["member"])
