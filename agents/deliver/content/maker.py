"""From jobs to deliveries: the user looked up where the definition needs it, the body made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents.deliver.content.bodies import body_maker, encode, message_id
from agents.deliver.content.jobs import Job, properties_of
from agents.deliver.content.users import LookupFailed, Users, needs_user
from agents.deliver.definitions.destination import Destination, Webhook
from agents.deliver.engine.sink import Delivery, Outcome, Refused, Retry, UserFacts

NO_PROPERTIES: Mapping[str, object] = {}


class Maker:
    """Makes the deliveries of one destination; each once, so it stays the same however often it is sent."""

    def __init__(self, destination: Destination, users: Users | None) -> None:
        self._destination = destination
        self._users = users if users is not None and needs_user(destination) else None
        self._body = body_maker(destination.body, destination.name, destination.attributes)
        target = destination.target
        self._wants_properties = isinstance(target, Webhook) and any(
            each.source == "property" for each in target.variables.values()
        )
        self._is_raw = destination.body == "native" and destination.id_type == "user_id"

    async def make(self, jobs: Sequence[Job]) -> dict[int, Outcome]:
        """Set ``job.delivery`` of each; the outcomes of those that can't be made, by ``id(job)``."""
        if self._users is not None:
            return await self._look_up(self._users, jobs)
        for job in jobs:
            if job.delivery is None:
                job.delivery = self._deliver(job, None)
        return {}

    async def _look_up(self, users: Users, jobs: Sequence[Job]) -> dict[int, Outcome]:
        early: dict[int, Outcome] = {}
        held: set[str] = set()
        fresh = {job.user_id for job in jobs if job.delivery is None}
        found = await users.get_all(self._destination.project, sorted(fresh))
        for job in jobs:
            facts = found.get(job.user_id)
            if job.user_id in held:
                early[id(job)] = Retry("behind", "an earlier one of this user waits")
            elif isinstance(facts, LookupFailed):
                held.add(job.user_id)
                early[id(job)] = Retry("lookup_failed", str(facts))
            elif job.delivery is None:
                outcome = self._with_facts(job, facts)
                if outcome is not None:
                    early[id(job)] = outcome
        return early

    def _with_facts(self, job: Job, facts: UserFacts | None) -> Outcome | None:
        id_type = self._destination.id_type
        id_sent = job.user_id
        if id_type != "user_id":
            known = facts.identities.get(id_type) if facts is not None else None
            if not known:
                return Refused("no_identity", f"the user has no identity '{id_type}'")
            id_sent = known
        job.delivery = self._deliver(job, facts, id_sent)
        return None

    def _deliver(self, job: Job, facts: UserFacts | None, id_sent: str | None = None) -> Delivery:
        user_id = job.user_id
        id_sent = user_id if id_sent is None else id_sent
        original = job.originals[-1]
        body = (
            (original.value or b"") if self._is_raw else encode(self._body(job.transitions, id_sent, facts))
        )
        properties: Mapping[str, object] = (
            properties_of(job.originals[0]) if self._wants_properties else NO_PROPERTIES
        )
        return Delivery(
            message_id(job.transitions),
            user_id,
            id_sent,
            job.transitions,
            body,
            job.partition,
            original.offset,
            properties,
            facts,
        )
