"""The bodies that destinations can ask for (docs/delivery.md): ``native``, ``lytics``, ``segment``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec

from agents.deliver.contract.delivery import UserFacts
from agents.deliver.definitions.destination import BodyFormat
from agents.evaluate.transitions import TransitionBody

FOR_EVER: Final = "2099-12-31T23:59:59Z"
"""What the Lytics shape says for an exit that no time will bring."""

Body: TypeAlias = Callable[[Sequence[TransitionBody], str, UserFacts | None], object]
"""(transitions, the id to send, what is known of the user) to a JSON-able body.

Several transitions are of one user, and of one instant, or existing members with the latest first."""

_encode = msgspec.json.Encoder().encode


def body_maker(body: BodyFormat, destination: str, attributes: Sequence[str]) -> Body:
    """The maker of a destination's bodies. ``attributes`` go along in ``lytics`` and ``segment``."""
    if body == "lytics":
        subscription = blake2b(destination.encode(), digest_size=16).hexdigest()
        return lambda transitions, user_id, user: _lytics(
            transitions, user_id, _chosen(attributes, user), user, subscription
        )
    if body == "segment":
        return lambda transitions, user_id, user: _segment(transitions[0], user_id, _chosen(attributes, user))
    return lambda transitions, user_id, user: _native(transitions[0], user_id)


def message_id(transitions: Sequence[TransitionBody]) -> str:
    """The transition's id; of several in one message a digest of theirs, so that another set has another."""
    if len(transitions) == 1:
        return transitions[0].id
    return digest_of([each.id for each in transitions])


def digest_of(ids: Sequence[str]) -> str:
    """One id for several."""
    return blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()


def _native(transition: TransitionBody, user_id: str) -> TransitionBody:
    if user_id == transition.user_id:
        return transition
    return msgspec.structs.replace(transition, user_id=user_id)


def _lytics(
    transitions: Sequence[TransitionBody],
    user_id: str,
    chosen: Mapping[str, object],
    user: UserFacts | None,
    subscription: str,
) -> dict[str, object]:
    at = _nanoseconds(transitions[0].at)
    return {
        "data": {
            "_created": _created(transitions, user),
            "_modified": _modified(at, user),
            **chosen,
            "user_id": user_id,
            "segment_events": [_segment_event(each) for each in transitions],
        },
        "meta": {"object": "user", "subscription_id": subscription, "timestamp": at},
    }


def segment_id(project: str, audience: str) -> str:
    """Of an audience, as Lytics has an id of each segment beside its slug: 32 hex digits, never another."""
    return blake2b(f"{project}\0{audience}".encode(), digest_size=16).hexdigest()


def _segment_event(transition: TransitionBody) -> dict[str, object]:
    if transition.event == "exit":
        leaves = _nanoseconds(transition.at)
    else:
        leaves = FOR_EVER if transition.exit_at is None else _nanoseconds(transition.exit_at)
    return {
        "id": segment_id(transition.project, transition.audience),
        "event": transition.event,
        "enter": _nanoseconds(transition.entered_at),
        "exit": leaves,
        "slug": transition.audience,
    }


def _created(transitions: Sequence[TransitionBody], user: UserFacts | None) -> str:
    """The user's attribute ``_created`` or ``created_at``; otherwise the instant of the user's first record;
    where nobody was looked up, the earliest instant known here."""
    if user is not None:
        for name in ("_created", "created_at"):
            known = user.attributes.get(name)
            if isinstance(known, str) and known:
                return known
        if user.first is not None:
            return _nanoseconds(user.first)
    return _nanoseconds(min(each.entered_at for each in transitions))


def _modified(at: str, user: UserFacts | None) -> str:
    """When the user's row changed last, which a reader that is behind may not know yet; where nobody was
    looked up, the instant of the transitions, which changed it."""
    changed = None if user is None or user.changed is None else _nanoseconds(user.changed)
    return at if changed is None else max(at, changed)


def _segment_track(event: TransitionBody, user_id: str, chosen: Mapping[str, object]) -> dict[str, object]:
    """The event as its producer would have told it."""
    trigger = event.trigger
    body: dict[str, object] = {
        "type": "track",
        "event": trigger.event if trigger is not None else None,
        "messageId": event.id,
        "userId": user_id,
        "timestamp": trigger.time if trigger is not None else event.at,
        "properties": event.properties,
    }
    if chosen:
        body["context"] = {"traits": dict(chosen)}
    return body


def _segment(transition: TransitionBody, user_id: str, chosen: Mapping[str, object]) -> dict[str, object]:
    if transition.event == "event":
        return _segment_track(transition, user_id, chosen)
    entered = transition.event == "enter"
    body: dict[str, object] = {
        "type": "track",
        "event": "Audience Entered" if entered else "Audience Exited",
        "messageId": transition.id,
        "userId": user_id,
        "timestamp": transition.at,
        "properties": {
            "audience_key": transition.audience,
            "audience_name": transition.audience_name,
            "audience_version": transition.audience_version,
            "project": transition.project,
            "cause": transition.cause,
            "seq": transition.seq,
            "entered_at": transition.entered_at,
            "exit_at": transition.exit_at,
            transition.audience: entered,
        },
    }
    if chosen:
        body["context"] = {"traits": dict(chosen)}
    return body


def _chosen(names: Iterable[str], user: UserFacts | None) -> dict[str, object]:
    if user is None:
        return {}
    known: dict[str, object] = {**user.identities, **user.attributes}
    return {name: known[name] for name in names if known.get(name) is not None}


def _nanoseconds(instant: str) -> str:
    """``…:02.123Z`` with nine digits."""
    return f"{instant[:-1]}000000Z" if len(instant) == 24 and instant[19] == "." else instant


def encode(body: object) -> bytes:
    """JSON, UTF-8."""
    return _encode(body)
