"""Where the live stream of a partition stands, for those who follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiokafka.structs import TopicPartition

from agents.evaluate.pipeline import Pipeline


class LivePartition:
    """``sources``: the source partitions whose records it takes now. A topic may get more of them."""

    def __init__(self, pipeline: Pipeline, sources: Callable[[], Sequence[TopicPartition]]) -> None:
        self._pipeline = pipeline
        self._sources = sources

    @property
    def stream_time_ms(self) -> int:
        return self._pipeline.stream_time_ms

    def ends(self) -> Mapping[TopicPartition, int]:
        """The offset after the last record taken of each source partition; 0: none was."""
        position_of = self._pipeline.position_of
        return {tp: position_of(tp.topic, tp.partition) + 1 for tp in self._sources()}
