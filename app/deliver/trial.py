"""Test sends: one made-up transition through a destination's real sink; what was sent and answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Set
from dataclasses import replace
from typing import Literal

import msgspec
from msgspec.structs import replace as structs_replace

from agents.deliver.content.bodies import body_maker, encode, message_id
from agents.deliver.content.given import variables_named, with_values
from agents.deliver.content.ids import NoIdentity, carried, ids_of
from agents.deliver.content.users import LookupFailed, needs_user
from agents.deliver.contract.delivery import Delivery, UserFacts
from agents.deliver.contract.outcomes import Delivered, Outcome, Rejected, Retry, Unknown
from agents.deliver.definitions.destination import Destination, Webhook
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.evaluate.transitions import TransitionBody, TriggerBody, transition_id
from agents.sinks.make import make_sink
from app.deliver.clients import context_of, users_of
from app.publish.permitted import secrets_of
from app.settings.tree import Settings
from rules.model.language import ANY_EVENT
from rules.parse.problems import name_hint
from rules.time.instants import format_instant

OUTCOMES = {Rejected: "refused", Retry: "retry", Unknown: "unknown"}
"""As they are shown."""


class TestSend(msgspec.Struct, forbid_unknown_fields=True):
    """What to send. ``attributes``, ``identities`` and ``properties`` stand in for those looked up.

    ``id`` is sent as the id of the type ``id_type`` (by default the destination's), and nobody is looked up.
    ``variables``: what variables and parameters of a webhook are, whatever the user has.
    """

    __test__ = False

    user_id: str = "turnstile-test"
    audience: str | None = None
    event: Literal["enter", "exit"] = "enter"
    """Of a destination ``on: event`` it makes no difference."""
    attributes: dict[str, object] | None = None
    identities: dict[str, str] = {}
    properties: dict[str, object] = {}
    id: str | None = None
    id_type: str | None = None
    variables: dict[str, str | int | float | bool] = {}


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
    try:
        destination, wanted = as_asked(destination, wanted)
    except SinkMisconfigured as error:
        return TestSendResult(False, destination.name, str(error), [])
    secrets = secrets_of(settings, digests, project=destination.secrets_project)
    exchanges: list[object] = []
    outcome: Outcome | None = None
    problem: str | None = None
    sink = make_sink(destination, context_of(settings, secrets, exchanges.append))
    users = users_of(settings)
    try:
        facts: UserFacts | None = None
        if wanted.attributes is not None or wanted.identities or wanted.id is not None:
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


def as_asked(destination: Destination, wanted: TestSend) -> tuple[Destination, TestSend]:
    """The destination with the variables that were given, and the user with the id. Raises
    SinkMisconfigured."""
    if wanted.id_type is not None:
        destination = replace(destination, id_type=wanted.id_type)
    if wanted.id is not None and destination.id_type == "user_id":
        wanted = structs_replace(wanted, user_id=wanted.id)
    elif wanted.id is not None:
        identities = {**wanted.identities, destination.id_type: wanted.id}
        wanted = structs_replace(wanted, identities=identities)
    if not wanted.variables:
        return destination, wanted
    target = destination.target
    known = dict(variables_named(target)) if isinstance(target, Webhook) else {}
    unknown = [name for name in wanted.variables if name not in known]
    if unknown:
        hint = name_hint(unknown[0], known) if known else "it has none"
        raise SinkMisconfigured(f"destination {destination.name!r} has no variable {unknown[0]!r}; {hint}")
    assert isinstance(target, Webhook)
    filled = with_values(target.variables, wanted.variables)
    return replace(destination, target=replace(target, variables=filled)), wanted


def made_up(destination: Destination, wanted: TestSend, facts: UserFacts | None) -> Delivery:
    """A delivery that looks like a real one; its cause is ``manual``. Raises SinkMisconfigured."""
    audience = wanted.audience or min(destination.audiences or {"test"})
    now_ms = time.time_ns() // 1_000_000
    at, entered = format_instant(now_ms), wanted.event == "enter"
    on_event = destination.on == "event"
    transition = TransitionBody(
        id=transition_id(destination.project, audience, wanted.user_id, now_ms),
        event="event" if on_event else wanted.event,
        project=destination.project,
        audience=audience,
        audience_name=f"{audience} (test send)",
        audience_version=1,
        user_id=wanted.user_id,
        seq=1 if entered else 2,
        at=at,
        cause="manual",
        trigger=TriggerBody(_event_name(destination), None, at),
        entered_at=at if entered else format_instant(now_ms - 3_600_000),
        exit_at=None,
        destination=destination.name if on_event else "",
        properties=wanted.properties if on_event else {},
    )
    try:
        ids = ids_of(destination, wanted.user_id, facts)
    except NoIdentity as error:
        raise SinkMisconfigured(
            f"user {wanted.user_id!r} has no identity '{error.name}': name another, or give one"
        ) from None
    make = body_maker(destination.body, destination.name, carried(destination))
    body = encode(make((transition,), ids.sent, facts))
    return Delivery(
        message_id((transition,)),
        wanted.user_id,
        ids.sent,
        (transition,),
        body,
        0,
        -1,
        wanted.properties,
        facts,
        destination.id_type,
        destination.reach_by,
        ids.reach,
    )


def _event_name(destination: Destination) -> str:
    """The first that the definition names."""
    names = [name for each in destination.events for name in each.names if name != ANY_EVENT]
    return names[0] if names else "test"
