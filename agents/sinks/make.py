"""From a definition to its sink. A sink's libraries are loaded when there is a destination of its kind."""

from __future__ import annotations

from agents.deliver.contract.sink import Sink, SinkContext
from agents.deliver.definitions.destination import Destination, EventHub, KafkaTopic


def make_sink(destination: Destination, context: SinkContext) -> Sink:
    """The sink of a destination, not opened."""
    if destination.connection is not None and destination.lender is None and not destination.refused:
        raise AssertionError("the destination's connection must be resolved first")
    if destination.refused:
        from agents.sinks.refused import RefusedSink

        return RefusedSink(destination, context)
    if isinstance(destination.target, EventHub):
        from agents.sinks.eventhub.sink import EventHubSink

        return EventHubSink(destination, context)
    if isinstance(destination.target, KafkaTopic):
        from agents.sinks.kafka.sink import KafkaSink

        return KafkaSink(destination, context)
    from agents.sinks.webhook.sink import WebhookSink

    return WebhookSink(destination, context)
