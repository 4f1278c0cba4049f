"""Golden files pin every stored encoding: what a version wrote stays readable, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rules.compile.project_rules import ProjectRules
from rules.conditions.build import build_condition
from rules.decide.upgrade import OLD, upgrade
from rules.parse.definitions import load_published
from rules.state.event_times import instants
from rules.state.identities import Claim
from rules.state.row import Membership, Row, Transition, Trigger
from tables.codec import (
    CHECKPOINT_KEY,
    Checkpoint,
    Ground,
    Outbox,
    RowUnreadable,
    decode_checkpoint,
    decode_head,
    decode_outbox,
    decode_row,
    encode_checkpoint,
    encode_outbox,
    encode_row,
    record_print,
    row_key,
    source_key,
    split_row_key,
    topic_key,
)
from tables.cut import Cut, decode_cut, encode_cut
from tables.meta import StoreMeta, decode_meta, encode_meta

GOLDEN = Path(__file__).parent / "golden"
T = 1_700_000_000_000

ROW = Row(
    now_ms=T,
    timer_ms=T + 3_600_000,
    applied={source_key("events", 3): 12_345, 7: 0},
    conditions={1: [3], 2: "\0\1", 3: ["\1", [12.5], [12.5]], 4: ["\1", ["a"]], 5: ["\0true", 1, 1.5]},
    audiences={2**32 - 1: Membership(3, 0, 2)},
    attributes={"country": "US", "n": {"x": [1, 2.5, None, True, "é🎉"]}, "big": 2**63 - 1, "low": -(2**63)},
    changed_ms={"country": T, "gone": T - 1},
    identities={"email": "a@b.c"},
    seen=b'\xc0\x82\xff"<\x11',
    seen_at=[T // 1000, 1],
    changed_paths={"n.x": T - 2},
    base_ms=T,
    times=[-5, 0],
    latest=1,
    used=2,
)
NOTED = replace(ROW, epoch=3, first=-7)
OLD_STATES = {1: [3], 2: [T - 5, T], 3: [[T], [12.5], [12.5]], 4: [[T], ["a"]], 5: ["\0true", 1, 1.5]}
ENTER = Transition(
    "default", "buyers", "Buyers", 2, "ann", 3, T, "event", Trigger("buy", "r1", T - 1), T, T + 3_600_000
)
EXIT = Transition("shop", "buyers", "Buyers", 2, "ann", 4, T + 9, "time", None, T, None)
OUTBOX = Outbox(41, [ENTER, EXIT])
TELLING = Outbox(41, [replace(ENTER, trigger=Trigger("buy", "r1", T - 1, b'{"price":5}'))])
BOUND = Outbox(41, [replace(TELLING.transitions[0], entered_at_is_bound=True)])
CLAIMING = replace(BOUND, claims=[Claim("default", "email", "a@b.c", "ann", T, True)])
SENDING = replace(CLAIMING, transitions=[replace(BOUND.transitions[0], destination="crm")])
CHECKPOINT = Checkpoint(41, 40, T, "5d41402abc4b2a76", 16, {source_key("events", 3): 12_345})
SWEPT = replace(CHECKPOINT, swept_ms=T - 7)
META = StoreMeta(123_456, (GOLDEN / "checkpoint.bin").read_bytes())
GROUND = Ground(
    {topic_key("events"): bytes(range(16))},
    {source_key("events", 3): record_print(T, b"ann", b"{}")},
    {"events": T},
    5,
    3,
    2,
    9,
)
GROUNDED = replace(SWEPT, judged={source_key("events", 3): 12_399}, ground=GROUND)
CUT = Cut(
    2,
    {"default/buyers": 3},
    T,
    {source_key("events", 3): 12_345},
    "2",
    T - 9,
    {"default": {5: "backfill", 6: "definition"}},
    {"default": [1]},
    {"default": [5]},
    {"default": {1: T - 9}},
)
JOINED = StoreMeta(123_456, META.checkpoint, bytes(range(16)))
INDEXED = JOINED.indexed()

FILES = {
    "row-2-epoch": (NOTED, encode_row, decode_row),
    "outbox-sent": (SENDING, encode_outbox, decode_outbox),
    "checkpoint-ground": (GROUNDED, encode_checkpoint, decode_checkpoint),
    "cut": (CUT, encode_cut, decode_cut),
    "meta-indexed": (INDEXED, encode_meta, decode_meta),
}


@pytest.mark.parametrize("name", FILES)
def test_a_golden_file_is_what_is_written_and_what_is_read(name: str) -> None:
    value, encode, decode = FILES[name]
    golden = (GOLDEN / f"{name}.bin").read_bytes()
    assert encode(value) == golden  # type: ignore[operator]
    assert decode(golden) == value  # type: ignore[operator]


def test_a_row_of_a_program_without_rules_epochs_is_read() -> None:
    assert decode_row((GOLDEN / "row-2.bin").read_bytes()) == ROW


def test_an_outbox_of_a_program_that_kept_no_properties_is_read() -> None:
    assert decode_outbox((GOLDEN / "outbox.bin").read_bytes()) == OUTBOX


def test_an_outbox_of_a_program_that_knew_no_claims_is_read() -> None:
    assert decode_outbox((GOLDEN / "outbox-bound.bin").read_bytes()) == BOUND


def test_an_outbox_of_a_program_that_sent_no_events_is_read() -> None:
    assert decode_outbox((GOLDEN / "outbox-claims.bin").read_bytes()) == CLAIMING


def test_an_outbox_of_a_program_that_knew_no_bound_is_read() -> None:
    assert decode_outbox((GOLDEN / "outbox-properties.bin").read_bytes()) == TELLING


def told(row: Row, state: Any) -> Any:
    """A state with the times that it names."""
    if isinstance(state, str):
        return instants(row, state)
    return [instants(row, state[0]), *state[1:]] if isinstance(state[-1], list) else state


def condition_of(text: str) -> Any:
    return load_published("a.yaml", f"{{id: a, name: A, rule: {text}}}").rule


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("row-1-paths", {}),
        ("row-1-seen", {"changed_paths": {}}),
        ("row-1", {"changed_paths": {}, "seen": b"", "seen_at": []}),
    ],
)
def test_a_row_of_version_1_is_read_and_its_states_can_be_upgraded(
    name: str, lacking: dict[str, Any]
) -> None:
    row = decode_row((GOLDEN / f"{name}.bin").read_bytes())
    assert row == replace(ROW, conditions=OLD_STATES, times=[0], latest=0, used=OLD, **lacking)
    conditions = {
        key: build_condition("default", condition_of(text))
        for key, text in enumerate(
            (
                "{event: e, count: {gte: 3}}",
                "{event: e, count: {gte: 2}, within: 1h}",
                "{event: e, sum: {property: p, gte: 9}, within: 1h}",
                "{event: e, distinct: {property: p, gte: 2}, within: 1h}",
                "{event: e, distinct: {property: p, gte: 9}}",
            ),
            1,
        )
    }
    upgrade(ProjectRules(conditions=conditions), row)
    row = decode_row(encode_row(row))
    assert {key: told(row, state) for key, state in row.conditions.items()} == OLD_STATES
    assert replace(row, conditions={}, times=[], latest=0, used=0) == replace(
        ROW, conditions={}, times=[], latest=0, used=0, **lacking
    )


def test_a_checkpoint_of_a_program_that_knew_less_is_read() -> None:
    assert decode_checkpoint((GOLDEN / "checkpoint.bin").read_bytes()) == CHECKPOINT
    assert decode_checkpoint((GOLDEN / "checkpoint-swept.bin").read_bytes()) == SWEPT


def test_a_checkpoint_and_a_store_of_a_program_that_knew_no_topics_are_read() -> None:
    assert decode_checkpoint((GOLDEN / "checkpoint-swept.bin").read_bytes()) == SWEPT
    assert decode_meta((GOLDEN / "meta.bin").read_bytes()) == META


def test_a_store_of_a_program_that_kept_no_index_of_members_is_read_and_known() -> None:
    assert decode_meta((GOLDEN / "meta-joined.bin").read_bytes()) == JOINED
    assert (JOINED.is_indexed, INDEXED.is_indexed) == (False, True)


def test_the_head_of_a_row_is_read_alone() -> None:
    head = decode_head((GOLDEN / "row-1.bin").read_bytes())
    assert (head.now_ms, head.timer_ms) == (T, T + 3_600_000)
    assert decode_head(encode_row(ROW)).audiences == ROW.audiences


def test_a_row_with_fields_of_a_later_program_is_read() -> None:
    """Fields are only ever appended, so that a rollback can read what the newer program wrote."""
    value = bytearray(encode_row(ROW))
    assert value[1] == 0xDC  # an array of sixteen
    value[3] += 1
    assert decode_row(bytes(value) + b"\xa3new") == ROW


@pytest.mark.parametrize("value", [b"\x03" + encode_row(ROW)[1:], b"\x00", b""])
def test_an_unknown_version_is_said_to_be_unreadable(value: bytes) -> None:
    for decode in (decode_row, decode_head):
        with pytest.raises(RowUnreadable, match="not known"):
            decode(value)


@pytest.mark.parametrize("project", ["default", "shop", "P_1"])
@pytest.mark.parametrize("user_id", ["ann", "é🎉", "a/b", " ", "\x01", "default"])
def test_a_row_key_gives_project_and_user_back(project: str, user_id: str) -> None:
    key = row_key(project, user_id)
    assert split_row_key(key) == (project, user_id)
    assert key != CHECKPOINT_KEY
    assert not key.startswith(b"\0\0")


def test_keys_of_projects_do_not_meet() -> None:
    found = {row_key(project, user) for project in ("default", "a", "ab") for user in ("a", "b", "ab", "bb")}
    assert len(found) == 12


def test_names_of_source_partitions_are_pinned() -> None:
    assert source_key("events", 3) == int((GOLDEN / "source_key.txt").read_text())
    assert source_key("events", 3) != source_key("events", 13) != source_key("events-1", 3)
