"""The members of a partition, before what follows.

Not from the transitions topic: retention takes those, and a member may have entered long before. A row's
changelog is compacted, never expires, and is written before the transition of the same step; so a snapshot
that begins after offset S of the transitions topic was noted knows everything that lies before S.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.deliver.content.messages import Message
from agents.deliver.definitions.destination import Destination
from agents.deliver.input_topics import InputTopics
from agents.deliver.members.entering import Entering
from agents.deliver.members.rows import MemberRows, read_rows
from agents.deliver.members.rules import read_rules
from agents.kafka.placement import partition_of
from agents.registry.audiences import Parse
from tables.codec import split_row_key


class PartitionMembers:
    """The members of one partition. Close it."""

    def __init__(self, rows: MemberRows, entering: Entering, partition: int) -> None:
        self._rows = rows
        self._entering = entering
        self._partition = partition
        self._is_open = True

    def messages(self) -> Iterator[Message]:
        """One user after the other."""
        for key, row in self._rows:
            yield from self._entering.messages(key, row, self._partition)

    def seq_sent(self, user_id: str, audience_id: str) -> int:
        """``seq`` of the enter among ``messages``; 0: there is none, or this is closed."""
        if not self._is_open:
            return 0
        return self._entering.seq_sent(self._rows.get(self._entering.key_of(user_id)), user_id, audience_id)

    def close(self) -> None:
        self._is_open = False
        self._rows.close()


class MemberReader:
    """Reads who is in now, for one destination."""

    def __init__(
        self,
        destination: Destination,
        topics: InputTopics,
        new_consumer: Callable[[], AIOKafkaConsumer],
        parse: Parse,
        max_samples: int,
    ) -> None:
        self._destination = destination
        self._topics = topics
        self._new_consumer = new_consumer
        self._parse = parse
        self._max_samples = max_samples

    async def entering(self) -> Entering:
        """By the rules as they are published now."""
        project, topic = self._destination.project, self._topics.audiences
        rules = await read_rules(self._new_consumer, topic, project, self._parse, self._max_samples)
        return Entering(self._destination, rules)

    async def of(self, partition: int, entering: Entering) -> PartitionMembers:
        """Those whose transitions are on a partition."""
        topics, project = self._topics, self._destination.project
        is_same = topics.changelog_partitions == topics.partitions

        def is_wanted(key: bytes) -> bool:
            of, user_id = split_row_key(key)
            return of == project and (is_same or partition_of(user_id, topics.partitions) == partition)

        rows = MemberRows()
        try:
            for each in [partition] if is_same else range(topics.changelog_partitions):
                tp = TopicPartition(topics.changelog, each)
                await read_rows(self._new_consumer, tp, is_wanted, rows)
        except BaseException:
            rows.close()
            raise
        return PartitionMembers(rows, entering, partition)
