"""Records as they lie in a spool."""

from __future__ import annotations

from io import BytesIO

from agents.pushes.contract.rows import READ_BYTES, frame, read_frames


def test_records_come_back_as_they_were_wherever_a_read_cuts_them() -> None:
    records = [(b"", b""), (b"k", b"\n\0,"), (b"x" * 10, b"y" * (READ_BYTES + 3)), (b"last", b"v" * 100)]
    spool = b"".join(frame(*each) for each in records)
    assert list(read_frames(BytesIO(spool))) == records
