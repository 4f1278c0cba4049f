"""Transitions and outboxes of the native core against Python's."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluate.transitions import encode_transition
from rules.state.row import Transition, Trigger
from tables.codec import Outbox, encode_outbox
from tests.core.parts import core, many

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
instants = st.integers(-(2**62), 2**62) | st.integers(0, 2**41)
triggers = st.builds(
    Trigger, st.none() | texts, st.none() | texts, instants, st.just(b"") | st.binary(max_size=5)
)
transitions = st.builds(
    Transition,
    project=texts,
    audience=texts,
    audience_name=texts,
    audience_version=st.integers(0, 2**40),
    user_id=texts,
    seq=st.integers(1, 2**40),
    at_ms=instants,
    cause=st.sampled_from(["event", "profile", "time", "definition", "backfill", "a cause to come"]),
    trigger=st.none() | triggers,
    entered_at_ms=instants,
    exit_at_ms=st.none() | instants,
    entered_at_is_bound=st.booleans(),
    destination=st.just("") | texts,
)


@many
@given(transitions)
def test_a_transition_goes_out_as_python_writes_it(transition: Transition) -> None:
    packed = msgspec.msgpack.encode(transition)
    body, headers, again = core.transition(packed)
    assert (body, headers) == encode_transition(transition)
    assert again == packed


@many
@given(st.integers(0, 2**60), st.lists(transitions, max_size=20))
def test_an_outbox_has_the_same_bytes(step: int, held: list[Transition]) -> None:
    packed = encode_outbox(Outbox(step, held))
    assert core.outbox_again(packed) == packed
