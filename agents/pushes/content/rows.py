"""From members to the rows of a list: one for each id type that a member has.

Values arrive as they were. What a format can't hold is refused, row by row and by name: NUL in CSV, where
readers end the text, and half a surrogate pair, which has no UTF-8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from agents.pushes.content.columns import called, columns_of, counted_names
from agents.pushes.content.encryption import encrypter_of, told_encryption
from agents.pushes.content.written import OMITTED, RowRefused, csv_writer, json_writer
from agents.pushes.contract.member import Member
from agents.pushes.contract.push import USER_ID, Content, IdColumn
from agents.pushes.contract.rows import Made
from rules.predicates.paths import MISSING, getter_of
from rules.time.instants import format_instant

HALF_A_PAIR: Final = "invalid_text: a value has half a surrogate pair, which has no UTF-8"
BOM: Final = b"\xef\xbb\xbf"


class Rows:
    """The ``RowMaker`` of a content, which must be free of problems (``agents.pushes.content.check``)."""

    def __init__(self, content: Content) -> None:
        format, columns = content.format, columns_of(content)
        self.is_framed = format.kind == "kafka"
        self.header = b""
        if format.kind == "csv":
            self._write = csv_writer(format, columns.names)
            self.header = (BOM if format.bom else b"") + (
                self._write(columns.names) if format.header else b""
            )
        else:
            self._write = json_writer(columns.names, b"" if self.is_framed else b"\n")
        self._columns = columns
        self._blank: list[object] = [None] * len(columns.names)
        self._names = counted_names(content.ids)
        self._ids = [
            (at, None if each.type == USER_ID else each.type, encrypter_of(each), self._frame(each))
            for at, each in enumerate(content.ids)
        ]
        own = list(enumerate(content.attributes, columns.attributes_at))
        self._whole = [(at, each.path[0]) for at, each in own if len(each.path) == 1]
        self._within = [(at, getter_of(each.path)) for at, each in own if len(each.path) != 1]
        self._empty: object = {"empty": "", "null": None, "omit": OMITTED}[format.empty]

    def _frame(self, id: IdColumn) -> list[tuple[int, object]]:
        """What is the same in each row of an id type, by column."""
        columns = self._columns
        found: list[tuple[int, object]] = (
            [(columns.id_type_at, called(id))] if columns.id_type_at >= 0 else []
        )
        return [*found, (columns.encryption_at, told_encryption(id))] if columns.encryption_at >= 0 else found

    def make(self, members: Sequence[Member]) -> Made:
        """A row for each id that a member has, each id once."""
        rows, without = [0] * len(self._ids), [0] * len(self._ids)
        refused: Counter[str] = Counter()
        pieces: list[bytes] = []
        write, id_at, is_framed = self._write, self._columns.id_at, self.is_framed
        for member in members:
            values: list[object] | None = None
            for at, namespace, encrypt, frame in self._ids:
                identity = member.user_id if namespace is None else member.identities.get(namespace)
                try:
                    id = None if identity is None else encrypt(identity)
                    if id is None:
                        without[at] += 1
                        continue
                    if values is None:
                        values = self._shared(member)
                    values[id_at] = id
                    for column, value in frame:
                        values[column] = value
                    data = write(values)
                    if is_framed:
                        key = id.encode()
                        pieces.append(len(key).to_bytes(4, "big") + len(data).to_bytes(4, "big") + key)
                except UnicodeEncodeError:
                    refused[HALF_A_PAIR] += 1
                except RowRefused as error:
                    refused[str(error)] += 1
                else:
                    pieces.append(data)
                    rows[at] += 1
        names = self._names
        return Made(
            b"".join(pieces),
            sum(rows),
            dict(zip(names, rows, strict=True)),
            dict(zip(names, without, strict=True)),
            refused,
        )

    def _shared(self, member: Member) -> list[object]:
        """A row with what all rows of a member have: attributes and instants."""
        empty, attributes, columns = self._empty, member.attributes, self._columns
        values = self._blank.copy()
        for at, name in self._whole:
            value = attributes.get(name)
            values[at] = empty if value is None or value == "" else value
        for at, get in self._within:
            value = get(attributes)
            values[at] = empty if value is MISSING or value is None or value == "" else value
        if columns.since_at >= 0:
            values[columns.since_at] = format_instant(member.since_ms)
        if columns.exit_at >= 0:
            exit_ms = member.exit_at_ms
            values[columns.exit_at] = empty if exit_ms is None else format_instant(exit_ms)
        return values
