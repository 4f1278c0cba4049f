"""An engine with a real sink, without Kafka: what it buries is kept in a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random

from agents.deliver.content.messages import Message, Original, read_transition
from agents.deliver.content.users import Users
from agents.deliver.contract.sink import SinkContext
from agents.deliver.definitions.destination import Destination
from agents.deliver.definitions.parse import load_destinations
from agents.deliver.engine.engine import Engine
from agents.deliver.permissions.own_topics import OwnTopics
from agents.deliver.secrets.secrets import Secrets
from agents.evaluate.transitions import encode_transition
from agents.kafka.broker import Broker
from agents.sinks.make import make_sink
from rules.state.row import Transition
from tests.eventhub.deliveries import secrets_of
from tests.stage.workers import until


def destination(text: str) -> Destination:
    (found,) = load_destinations([("test.yaml", text)])
    return found


def message(transition: Transition, number: int = 0, headers: Iterable[tuple[str, bytes]] = ()) -> Message:
    value, own = encode_transition(transition)
    key = transition.user_id.encode()
    original = Original(key, value, [*own, *headers], 0, number, transition.at_ms)
    return Message(transition.user_id, (read_transition(value),), (original,), 0, number)


def messages(transitions: Iterable[Transition]) -> list[Message]:
    return [message(each, number) for number, each in enumerate(transitions)]


class DeliveryLab:
    """``buried``: (message, code, reason) of what was refused for good."""

    def __init__(
        self,
        text: str,
        environ: Mapping[str, str] | None = None,
        allow_private: bool = True,
        in_flight: int = 10_000,
        lookup_url: str | None = None,
        broker: Broker | None = None,
        secrets: Secrets | None = None,
        made: Destination | None = None,
        own: OwnTopics | None = None,
        span: Callable[[], int] = lambda: 0,
    ) -> None:
        self.buried: list[tuple[Message, str, str]] = []
        self.bugs: list[BaseException] = []
        self.secrets = secrets or secrets_of(environ or {})
        self.users = Users(lookup_url, None) if lookup_url else None
        made = made or destination(text)
        context = SinkContext(self.secrets, broker or Broker("127.0.0.1:1"), allow_private, own)
        self.engine = Engine(
            made,
            make_sink(made, context),
            self.secrets,
            self.users,
            self._bury,
            self.bugs.append,
            in_flight,
            random=Random(1),
            span=span,
        )

    async def _bury(self, message: Message, code: str, reason: str) -> None:
        self.buried.append((message, code, reason))

    async def deliver(self, work: list[Message], seconds: float = 10) -> None:
        """Hand over and wait until all of it is delivered or buried."""
        assert await self.engine.put(work)
        await until(lambda: all(each.done for each in work) or self.bugs, "all is done", seconds)
        assert not self.bugs, self.bugs


@asynccontextmanager
async def lab(text: str, **more: object) -> AsyncIterator[DeliveryLab]:
    made = DeliveryLab(text, **more)  # type: ignore[arg-type]
    await made.engine.open()
    try:
        yield made
    finally:
        await made.engine.close()
        if made.users is not None:
            await made.users.close()
