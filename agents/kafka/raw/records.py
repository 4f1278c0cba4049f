"""Records of a fetch that stay in its bytes until somebody looks at one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, final, overload

from agents.kafka.consumed import Consumed

if TYPE_CHECKING:
    from turnstile_core import Fetched


@final
class RawRecords(Sequence[Consumed]):
    """Records ``start`` to ``end`` of what a fetch gave of one partition, in log order.

    A slice copies nothing. A record is made again each time it is asked for: whoever looks at records twice,
    or compares them by identity, makes a list. They keep the bytes of the fetch in memory.
    """

    __slots__ = ("end", "fetched", "partition", "start", "topic")

    def __init__(
        self, topic: str, partition: int, fetched: Fetched, start: int = 0, end: int | None = None
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.fetched = fetched
        self.start = start
        self.end = len(fetched) if end is None else end

    def __len__(self) -> int:
        return self.end - self.start

    @overload
    def __getitem__(self, at: int) -> Consumed: ...
    @overload
    def __getitem__(self, at: slice) -> RawRecords: ...
    def __getitem__(self, at: int | slice) -> Consumed | RawRecords:
        if isinstance(at, slice):
            start, end, step = at.indices(len(self))
            if step != 1:
                raise ValueError(f"a slice of raw records has the step 1, not {step}")
            return RawRecords(
                self.topic, self.partition, self.fetched, self.start + start, self.start + max(start, end)
            )
        return Consumed(self.topic, self.partition, *self.fetched.record(self._number(at)))

    def __iter__(self) -> Iterator[Consumed]:
        topic, partition, record = self.topic, self.partition, self.fetched.record
        return (Consumed(topic, partition, *record(number)) for number in range(self.start, self.end))

    @property
    def first_offset(self) -> int:
        """Raises IndexError when there are no records; so do the other two."""
        return self.fetched.offset(self._number(0))

    @property
    def last_offset(self) -> int:
        return self.fetched.offset(self._number(-1))

    @property
    def next_offset(self) -> int:
        """The offset after the last record. Control records and aborted ones may follow."""
        return self.last_offset + 1

    @property
    def last_timestamp_ms(self) -> int | None:
        """The largest; None: there are no records."""
        return self.fetched.last_timestamp_ms(self.start, self.end)

    @property
    def value_bytes(self) -> int:
        """Bytes of all values."""
        return self.fetched.value_bytes(self.start, self.end)

    def _number(self, at: int) -> int:
        """A record's number in the fetch. Raises IndexError."""
        number = at + (self.end if at < 0 else self.start)
        if not self.start <= number < self.end:
            raise IndexError(f"record {at} of {len(self)}")
        return number


class _Valued(Protocol):
    @property
    def value(self) -> bytes | None: ...


def value_bytes(records: Sequence[_Valued]) -> int:
    """Bytes of all values; raw records are not looked at one by one."""
    if isinstance(records, RawRecords):
        return records.value_bytes
    return sum(len(each.value) for each in records if each.value)


def slice_end(records: Sequence[_Valued], start: int, most: int, most_bytes: int) -> int:
    """Where a slice ends that begins at ``start``: with at most so many records, and bytes of their values,
    but one record at least."""
    most_end = min(start + most, len(records))
    if isinstance(records, RawRecords):
        first = records.start
        return records.fetched.end_within(first + start, first + most_end, most_bytes) - first
    end, size = start, 0
    while end < most_end:
        size += len(records[end].value or b"")
        if size > most_bytes and end > start:
            break
        end += 1
    return end
