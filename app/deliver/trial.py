"""Test sends: one made-up transition through a destination's real sink; what was sent and answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Set
from typing import Literal

import msgspec

from agents.deliver.content.bodies import body_maker, encode, message_id
from agents.deliver.content.users import LookupFailed, needs_user
from agents.deliver.contract.delivery import Delivery, UserFacts
from agents.deliver.contract.outcomes import Delivered, Outcome, Rejected, Retry, Unknown
from agents.deliver.definitions.destination import Destination
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.evaluate.transitions import TransitionBody, TriggerBody, transition_id
from agents.sinks.make import make_sink
from app.deliver.clients import context_of, users_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings
from rules.time.instants import format_instant

OUTCOMES = {Rejected: "refused", Retry: "retry", Unknown: "unknown"}
"""As they are shown."""


class TestSend(msgspec.Struct, forbid_unknown_fields=True):
    """What to send. ``attributes``, ``identities`` and ``properties`` stand in for those looked up."""

    __test__ = False

    user_id: str = "turnstile-test"
    audience: str | None = None
    event: Literal["enter", "exit"] = "enter"
    attributes: dict[str, object] | None = None
    identities: dict[str, str] = {}
    properties: dict[str, object] = {}


class TestSendResult(msgspec.Struct, frozen=True):
    """``exchanges``: the requests that were made and their answers."""

    __test__ = False

    ok: bool
    destination: str
    outcome: str
    exchanges: list[object]


async def send_test(
    settings: Settings,
    destination: Destination,
    wanted: TestSend,
    digests: Callable[[], Set[str]] | None = None,
) -> TestSendResult:
    """Send once, without retries. The result holds no secret.

    ``digests`` as of ``secrets_of``.
    """
    secrets = secrets_of(settings, digests, project=destination.secrets_project)
    exchanges: list[object] = []
    outcome: Outcome | None = None
    problem: str | None = None
    sink = make_sink(destination, context_of(settings, secrets, exchanges.append))
    users = users_of(settings)
    try:
        facts: UserFacts | None = None
        if wanted.attributes is not None or wanted.identities:
            facts = UserFacts(wanted.attributes or {}, wanted.identities)
        elif needs_user(destination):
            found = (await users.get_all(destination.project, [wanted.user_id]))[wanted.user_id]
            if isinstance(found, LookupFailed):
                raise SinkUnavailable(str(found))
            facts = found
        delivery = made_up(destination, wanted, facts)
        await sink.open()
        (outcome,) = await sink.send(0, [delivery])
    except (SinkMisconfigured, SinkUnavailable) as error:
        problem = str(error)
    except Exception as error:  # a bug, or a definition that asks for what no client can send: told, masked
        problem = f"crashed: {type(error).__name__}: {error}"
    finally:
        await sink.close()
        await users.close()
    ok = isinstance(outcome, Delivered)
    told = "delivered"
    if problem is not None:
        told = problem
    elif outcome is not None and not isinstance(outcome, Delivered):
        told = f"{OUTCOMES[type(outcome)]}: {outcome.code}: {outcome.reason}"
    result = TestSendResult(ok, destination.name, told, exchanges)
    # What a receiver answers may be long, and take long to mask.
    masked = await asyncio.to_thread(secrets.masked_all, msgspec.to_builtins(result))
    return msgspec.convert(masked, TestSendResult)


def made_up(destination: Destination, wanted: TestSend, facts: UserFacts | None) -> Delivery:
    """A delivery that looks like a real one; its cause is ``manual``. Raises SinkMisconfigured."""
    audience = wanted.audience or min(destination.audiences or {"test"})
    now_ms = time.time_ns() // 1_000_000
    at, entered = format_instant(now_ms), wanted.event == "enter"
    transition = TransitionBody(
        id=transition_id(destination.project, audience, wanted.user_id, now_ms),
        event=wanted.event,
        project=destination.project,
        audience=audience,
        audience_name=f"{audience} (test send)",
        audience_version=1,
        user_id=wanted.user_id,
        seq=1 if entered else 2,
        at=at,
        cause="manual",
        trigger=TriggerBody("test", None, at),
        entered_at=at if entered else format_instant(now_ms - 3_600_000),
        exit_at=None,
    )
    id_sent = wanted.user_id
    if destination.id_type != "user_id":
        known = facts.identities.get(destination.id_type) if facts is not None else None
        if not known:
            raise SinkMisconfigured(
                f"user {wanted.user_id!r} has no identity '{destination.id_type}': name another, or give one"
            )
        id_sent = known
    make = body_maker(destination.body, destination.name, destination.attributes)
    body = encode(make((transition,), id_sent, facts))
    return Delivery(
        message_id((transition,)),
        wanted.user_id,
        id_sent,
        (transition,),
        body,
        0,
        -1,
        wanted.properties,
        facts,
    )
