"""From messages to deliveries: the user looked up where the definition needs it, the body made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.deliver.content.bodies import body_maker, encode, message_id
from agents.deliver.content.ids import Ids, NoIdentity, carried, ids_of
from agents.deliver.content.messages import Message, properties_of
from agents.deliver.content.users import LookupFailed, Users, needs_user
from agents.deliver.contract.delivery import Delivery, UserFacts
from agents.deliver.contract.outcomes import Outcome, Rejected, Retry
from agents.deliver.definitions.destination import Destination, Webhook
from agents.deliver.definitions.templates import variables_in

NO_PROPERTIES: Mapping[str, object] = {}


class Maker:
    """Makes the deliveries of one destination; each once, so it stays the same however often it is sent."""

    def __init__(self, destination: Destination, users: Users | None) -> None:
        self._destination = destination
        self._users = users if users is not None and needs_user(destination) else None
        self._body = body_maker(destination.body, destination.name, carried(destination))
        target = destination.target
        self._wants_properties = isinstance(target, Webhook) and any(
            each.source == "property" for each in variables_in(target.variables)
        )
        is_as_is = destination.body == "native" and destination.id_type == "user_id"
        self._is_raw = is_as_is and destination.on == "transition"

    async def make(self, messages: Sequence[Message]) -> dict[int, Outcome]:
        """Set ``message.delivery`` of each; the outcomes of those that can't be made, by ``id(message)``."""
        if self._users is not None:
            return await self._look_up(self._users, messages)
        for message in messages:
            if message.delivery is None:
                message.delivery = self._deliver(message, None)
        return {}

    async def _look_up(self, users: Users, messages: Sequence[Message]) -> dict[int, Outcome]:
        early: dict[int, Outcome] = {}
        held: set[str] = set()
        fresh = {message.user_id for message in messages if message.delivery is None}
        found = await users.get_all(self._destination.project, sorted(fresh))
        for message in messages:
            facts = found.get(message.user_id)
            if message.user_id in held:
                early[id(message)] = Retry("behind", "an earlier message of this user waits")
            elif isinstance(facts, LookupFailed):
                held.add(message.user_id)
                early[id(message)] = Retry("lookup_failed", str(facts))
            elif message.delivery is None:
                outcome = self._with_facts(message, facts)
                if outcome is not None:
                    early[id(message)] = outcome
        return early

    def _with_facts(self, message: Message, facts: UserFacts | None) -> Outcome | None:
        try:
            ids = ids_of(self._destination, message.user_id, facts)
        except NoIdentity as error:
            return Rejected("no_identity", str(error))
        message.delivery = self._deliver(message, facts, ids)
        return None

    def _deliver(self, message: Message, facts: UserFacts | None, ids: Ids | None = None) -> Delivery:
        user_id = message.user_id
        id_sent = user_id if ids is None else ids.sent
        original = message.originals[-1]
        body = (
            (original.value or b"")
            if self._is_raw
            else encode(self._body(message.transitions, id_sent, facts))
        )
        properties: Mapping[str, object] = properties_of(message) if self._wants_properties else NO_PROPERTIES
        return Delivery(
            message_id(message.transitions),
            user_id,
            id_sent,
            message.transitions,
            body,
            message.partition,
            original.offset,
            properties,
            facts,
            self._destination.id_type,
            self._destination.reach_by,
            None if ids is None else ids.reach,
        )
