"""Members of a held partition, page by page: the next page is read while one is made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from agents.pushes.contract.member import Member
from agents.pushes.snapshot.membership import Deciding
from agents.pushes.snapshot.reading import PAGE, read_members
from agents.pushes.snapshot.undone import Undone
from rules.compile.audience import PublishedAudience
from rules.compile.rule_set import compile_rules
from rules.parse.definitions import load_definitions
from rules.state.row import Membership, Row
from tables.codec import encode_row
from tables.store import RocksMemory, RocksStore, Write
from tables.store_faults import StoreClosed

NOW_MS = 1_790_000_000_000
AUDIENCE = "{id: buyers, name: Buyers, rule: {event: purchase}}"


@pytest.fixture
def deciding() -> Deciding:
    (audience,) = load_definitions([("a.yaml", AUDIENCE)])
    rules = compile_rules([PublishedAudience(audience, version=1)]).project("default")
    compiled = rules.by_id("buyers")
    assert compiled is not None
    return Deciding(rules, compiled, NOW_MS, Undone("default", "buyers", NOW_MS), wants_exit=False)


@pytest.fixture
def store(tmp_path: Path, deciding: Deciding) -> RocksStore:
    """Every second user is a member; of the last page there is one."""
    store = RocksStore(tmp_path / "0", RocksMemory.of(8 << 20, 8 << 20))
    key, rows, members = deciding.audience.key, [], []
    for number in range(4 * PAGE + 2):
        name = f"u{number:05}".encode()
        inside = Membership(1 + number % 2, 0, 1)
        row = Row(NOW_MS - 1, audiences={key: inside}, base_ms=NOW_MS - 5, attributes={"n": number})
        rows.append((name, encode_row(row)))
        members += [(key, name)] if inside.inside else []
    store.write(Write(rows=rows, members_added=members))
    return store


def named(members: Sequence[Member]) -> list[tuple[str, object, int]]:
    return [(each.user_id, each.attributes["n"], each.since_ms) for each in members]


async def test_every_member_comes_once_in_order(store: RocksStore, deciding: Deciding) -> None:
    pages = [page async for page in read_members(store, deciding, named)]
    assert [len(each) for each in pages] == [PAGE, PAGE, 1]
    expected = [(f"u{number:05}", number, NOW_MS - 5) for number in range(0, 4 * PAGE + 2, 2)]
    assert [each for page in pages for each in page] == expected
    store.close()


async def test_who_stops_in_the_middle_leaves_no_read_behind(store: RocksStore, deciding: Deciding) -> None:
    async with aclosing(read_members(store, deciding, named)) as pages:
        async for _ in pages:
            break
    store.close()


async def test_a_store_that_is_closed_meanwhile_ends_the_reading(
    store: RocksStore, deciding: Deciding
) -> None:
    async with aclosing(read_members(store, deciding, named)) as pages:
        await anext(pages)
        store.close()
        with pytest.raises(StoreClosed):
            await anext(pages)
