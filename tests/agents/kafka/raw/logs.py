"""Logs as brokers have them, made by aiokafka's own builder: compressed, in transactions, with markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import pack_into
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import strategies as st

Headers = Sequence[tuple[str, bytes | None]]
Row = tuple[int, bytes | None, bytes | None, Headers]
"""Timestamp (ms), key, value, headers."""

COMPRESSIONS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LOG_APPEND_TIME, CONTROL = 0x08, 0x20
ABORT, COMMIT = b"\0\0\0\0", b"\0\0\0\x01"
ATTRIBUTES, CRC = 21, 17


def batch(
    offset: int, rows: Sequence[Row], compression: int = 0, producer: int = -1, attributes: int = 0
) -> bytes:
    """A batch at an offset of the log; ``producer`` from 0 on: it is part of a transaction."""
    builder: Any = DefaultRecordBatchBuilder(2, compression, producer >= 0, producer, 0, 0, 1 << 30)
    for number, (timestamp_ms, key, value, headers) in enumerate(rows):
        builder.append(number, timestamp_ms, key, value, list(headers))
    whole = bytearray(builder.build())
    pack_into(">q", whole, 0, offset)
    whole[ATTRIBUTES + 1] |= attributes
    return sealed(whole)


def sealed(whole: bytearray) -> bytes:
    """With its checksum."""
    pack_into(">I", whole, CRC, calc_crc32c(bytes(whole[ATTRIBUTES:])))
    return bytes(whole)


@dataclass
class Log:
    """What a broker would answer: bytes, and aborted transactions with their first offsets."""

    data: bytes = b""
    end: int = 0
    aborted: list[tuple[int, int]] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)

    def add(self, rows: Sequence[Row], compression: int = 0, producer: int = -1, attributes: int = 0) -> None:
        if producer >= 0 and not attributes & CONTROL:
            self.open.setdefault(producer, self.end)
        self.data += batch(self.end, rows, compression, producer, attributes)
        self.end += len(rows)

    def close(self, producer: int, marker: bytes) -> None:
        """End a transaction."""
        first = self.open.pop(producer, None)
        if first is not None and marker == ABORT:
            self.aborted.append((producer, first))
        self.add([(0, marker, b"\0" * 6, [])], 0, producer, CONTROL)


CONTENT = st.none() | st.binary(max_size=30)
HEADERS = st.lists(st.tuples(st.text(max_size=5), CONTENT), max_size=2)
ROWS = st.lists(st.tuples(st.integers(-1, 1 << 50), CONTENT, CONTENT, HEADERS), min_size=1, max_size=6)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log = Log()
    for _ in range(draw(st.integers(1, 12))):
        what = draw(st.sampled_from(["rows", "rows", "rows", "transaction", "commit", "abort", "gap"]))
        producer = draw(st.integers(0, 2))
        attributes = draw(st.sampled_from([0, 0, LOG_APPEND_TIME]))
        if what == "gap":
            log.end += draw(st.integers(1, 5))  # compacted away
        elif what == "rows":
            log.add(draw(ROWS), draw(st.integers(0, 4)), -1, attributes)
        elif what == "transaction":
            log.add(draw(ROWS), draw(st.integers(0, 4)), producer, attributes)
        else:
            log.close(producer, COMMIT if what == "commit" else ABORT)
    for producer in list(log.open):
        log.close(producer, draw(st.sampled_from([COMMIT, ABORT])))
    return log
