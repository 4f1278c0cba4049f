"""The index of members follows the rows over every way in which they change. ``Part.check_members`` compares
the two after each step and each restart."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.evaluate.steps import Limits
from tables.meta import decode_meta, encode_meta
from tables.row_store import Write
from tests.agents.evaluate.histories import START, USERS, audiences, happenings
from tests.driver.driver import Crash, Driver, Until, ruleset
from tests.strategies.fuzzing import usual

SLOW = settings(max_examples=usual(60), deadline=None)
rounds = st.lists(st.tuples(audiences, st.lists(happenings, max_size=12)), min_size=2, max_size=4)


@SLOW
@given(rounds, st.integers(0, 2**16))
def test_sizes_are_those_of_the_rows_while_definitions_change(
    history: list[tuple[list[dict[str, Any]], list[tuple[Any, ...]]]], seed: int
) -> None:
    _run(history, seed, None)


@settings(max_examples=8, deadline=None)
@given(rounds, st.integers(0, 2**16))
def test_sizes_are_those_of_the_rows_over_rocksdb(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[list[dict[str, Any]], list[tuple[Any, ...]]]],
    seed: int,
) -> None:
    _run(history, seed, Path(tmp_path_factory.mktemp("rocks")))


def _run(
    history: list[tuple[list[dict[str, Any]], list[tuple[Any, ...]]]], seed: int, directory: Path | None
) -> None:
    random, now_ms = Random(seed), START
    driver = Driver(
        json.dumps({"audiences": history[0][0]}),
        directory=directory,
        cache_rows=random.choice([2, 100]),
        in_flight=random.randrange(3),
    )
    driver.steady = False
    driver.compacts = lambda: random.random() < 0.7
    for version, (definitions, happened) in enumerate(history, 1):
        driver.rules = ruleset(json.dumps({"audiences": definitions}), version=version, created_ms=now_ms)
        for number, (kind, *rest) in enumerate(happened):
            if kind == "track":
                now_ms += max(0, rest[1])
                body = {"user_id": rest[0], "event": rest[2], "properties": rest[4]}
                driver.send(body | {"id": f"{version}-{number}"}, now_ms)
            elif kind == "advance":
                now_ms += rest[0]
                driver.parts[0].inbox.append(Until(now_ms, rest[1]))
            elif kind == "crash":
                driver.crash_after(rest[0])
            _until_done(driver, random)


def _until_done(driver: Driver, random: Random) -> None:
    part = driver.parts[0]
    while True:
        try:
            part.pipeline.define(driver.rules)
            while part.pipeline.sweeping:
                part.computed.append((part.pipeline.sweep(random.randint(1, 3)), []))
                part.check_members()
            driver.run(lambda: random.randint(1, 5))
            return
        except Crash:
            driver.crash_after(10**9)
            driver.restart(lose_store=random.random() < 0.3, compact=random.random() < 0.5, chunk=3)


def test_rows_that_are_left_or_put_back_because_of_their_size_keep_their_entries() -> None:
    """What time and records would have done to them is not in the index either."""
    limits = Limits(changelog_bytes=4_096, formats={})
    both = """
        audiences:
          - {id: big, name: Big, rule: {attribute: x, exists: true}}
          - {id: soon, name: Soon, rule: {event: view, within: 5s}}
    """
    driver = Driver(both, limits=limits, changelog_bytes=4_096)
    for user in USERS:
        driver.track(user, "view", START)
    driver.profile("ann", START + 1, set={"x": "small"})
    driver.profile("bob", START + 1, set={"x": "large" * 1_000})
    driver.track("cy", "view", START + 2)
    assert driver.codes() == ["row_too_large"]
    driver.advance(START + 10_000)
    sizes = driver.parts[0].pipeline.profiles.members.sizes
    by_id = {each.id: sizes.get(each.key, 0) for each in driver.rules.project("default").audiences}
    assert by_id == {"big": 1, "soon": 0}


@pytest.mark.parametrize("lose_index", [True, False])
def test_a_store_that_a_program_without_the_index_wrote_last_is_indexed_when_it_is_opened(
    lose_index: bool, tmp_path: Path
) -> None:
    """Before the rest of its changelog is read, which tells the difference to the rows that are there. The
    same after a rollback, which leaves an index that is no longer right."""
    soon = "{id: soon, name: Soon, rule: {event: view, within: 5s}}"
    driver = Driver(soon, directory=tmp_path, behind_rows=1_000)
    for number in range(30):
        driver.track(f"user-{number}", "view", START)
    part = driver.parts[0]
    part.pipeline.flush()
    driver.advance(START + 10_000)  # these exits are in the changelog alone
    driver.track("ann", "view", START + 10_000)
    meta = decode_meta(part.store.meta() or b"")
    assert meta.is_indexed
    if lose_index:
        part.store.clear_members()
    part.store.write(Write(meta=encode_meta(replace(meta, member_index=0))))
    driver.restart()
    assert decode_meta(driver.parts[0].store.meta() or b"").is_indexed
    sizes = driver.parts[0].pipeline.profiles.members.sizes
    assert [size for size in sizes.values() if size] == [1]
