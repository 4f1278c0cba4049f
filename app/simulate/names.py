"""The names in a log of records, for the warnings of ``turnstile check --events``."""

from __future__ import annotations

from collections.abc import Iterable

from agents.formats.format import Format
from agents.formats.refused import RecordRefused
from app.simulate.lines import NATIVE, NOTHING_BESIDE
from app.simulate.log_file import BadLine
from rules.warn.seen import LogNames


def names_in(lines: Iterable[bytes], format: Format | None, bad: BadLine) -> LogNames:
    """Of all good records, whichever project they are of. ``format`` None: native."""
    found = LogNames()
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        try:
            items = (format or NATIVE).read(line, NOTHING_BESIDE)
        except RecordRefused as refused:
            bad(number, refused.code, str(refused))
            continue
        for item in items:
            if isinstance(item.records, RecordRefused):
                bad(number, item.records.code, str(item.records))
                continue
            for record in item.records:
                if record.type == "track":
                    found.event(record.event or "", record.properties)
                else:
                    for values in (record.set, record.set_once, record.add):
                        found.attributes_of(values)
    return found
