"""Deliveries as Kafka records."""

from __future__ import annotations

from typing import Any

from agents.deliver.content.bodies import encode
from agents.deliver.content.variables import field_of
from agents.deliver.contract.delivery import Delivery
from agents.deliver.definitions.destination import Destination, KafkaTopic
from agents.deliver.definitions.parse_targets import TOPIC_NAME
from agents.deliver.definitions.templates import fill_text
from agents.deliver.errors import Unsendable
from agents.sinks.kafka.own_topics import RefusedTopics


class RecordMaker:
    """Makes the records of one destination."""

    def __init__(self, destination: Destination, refused: RefusedTopics) -> None:
        assert isinstance(destination.target, KafkaTopic)
        self._target = destination.target
        self._refused = refused
        self._shares_topic = "${audience}" not in destination.target.topic and (
            destination.audiences is None or len(destination.audiences) > 1
        )

    def record(self, delivery: Delivery) -> dict[str, Any]:
        """What aiokafka's ``send`` takes. Raises Unsendable."""
        target, transition = self._target, delivery.transitions[0]
        topic = self.topic(delivery)
        if TOPIC_NAME.fullmatch(topic) is None or topic in (".", ".."):
            raise Unsendable("invalid_topic", f"not a topic's name: {topic!r}")
        refusal = self._refused.why_not(topic)
        if refusal:
            raise Unsendable("own_topic", refusal)
        key = delivery.id_sent
        if target.membership and self._shares_topic:
            key = f"{transition.audience}/{key}"
        gone = target.membership and transition.event == "exit"
        return {
            "topic": topic,
            "key": key.encode("utf-8", "surrogatepass"),
            "value": None if gone else self._value(delivery),
            "headers": [("ce_id", delivery.id.encode()), ("content-type", b"application/json")],
        }

    def topic(self, delivery: Delivery) -> str:
        transition = delivery.transitions[0]
        return fill_text(self._target.topic, lambda name: getattr(transition, name))

    def _value(self, delivery: Delivery) -> bytes:
        if not self._target.fields:
            return delivery.body
        chosen = {
            name: field_of(delivery, tuple(path.split("."))) for name, path in self._target.fields.items()
        }
        try:
            return encode(chosen)
        except UnicodeEncodeError:
            raise Unsendable("invalid_text", "the record would have half a surrogate pair in it") from None

    def shown(self, delivery: Delivery) -> dict[str, object]:
        """For a test send: JSON-able, secrets not masked."""
        try:
            record = self.record(delivery)
        except Unsendable as error:
            return {"error": error.reason}
        return {
            "topic": record["topic"],
            "key": record["key"].decode("utf-8", "replace"),
            "value": None if record["value"] is None else record["value"].decode("utf-8", "replace"),
            "headers": {name: value.decode() for name, value in record["headers"]},
        }
