"""Whether a record is of a user who was erased, and from before: for whoever reads logs and sends again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer

from agents.formats.format import Format
from agents.formats.json import read_json
from agents.formats.records import as_id
from agents.formats.refused import RecordRefused
from agents.registry.erasures import Erasures
from agents.registry.topic import read_all
from tables.claims import ClaimUnreadable, decode_key
from tables.codec import row_key
from tables.erased import pseudonym

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a format may look at besides the value."""

    key: bytes | None
    headers: Headers


class ErasedRecords:
    """Knows by the pseudonyms of those who were erased, and until when their records don't count
    (``Receipt.before_ms``). Whose a record is, is told by its topic's format, by its key, and by the
    ``user_id`` of its value where that is JSON; in a list, of any of its parts."""

    def __init__(self, before_ms: Mapping[bytes, int], formats: Mapping[str, Format] | None = None) -> None:
        self._before_ms = before_ms
        self._formats = formats or {}

    def __bool__(self) -> bool:
        """Anybody was erased."""
        return bool(self._before_ms)

    def has(
        self,
        key: bytes | None,
        value: bytes | None,
        at_ms: int | None = None,
        topic: str = "",
        headers: Headers = (),
    ) -> bool:
        """Whether a record with the timestamp ``at_ms`` doesn't count any more; None: of history, which never
        counts again. ``topic``: the one whose format it has."""
        if not self._before_ms:
            return False
        form = self._formats.get(topic)
        users = set(_row_keys(key, value))
        if form is not None:
            users |= set(_users_of(form, value, _Sent(key, headers)))
        found = (self._before_ms.get(pseudonym(each)) for each in users)
        return any(each is not None and (at_ms is None or at_ms <= each) for each in found)


NOBODY: Final = ErasedRecords({})


async def read_erased(
    consumer: AIOKafkaConsumer, topic: str, formats: Mapping[str, Format] | None = None
) -> ErasedRecords:
    """Those of now, from the topic of receipts, which exists. Raises KafkaError."""
    return ErasedRecords((await read_all(consumer, Erasures(topic))).before_ms, formats)


def _row_keys(key: bytes | None, value: bytes | None) -> Iterator[bytes]:
    said: object = None
    if value is not None:
        try:
            said = read_json(value)
        except RecordRefused:
            said = None
    projects = {"default"}
    for part in said if isinstance(said, list) else [said]:
        if not isinstance(part, dict):
            continue
        project, user_id = part.get("project", "default"), as_id(part.get("user_id"), "user_id")
        if isinstance(project, str):
            projects.add(project)
            if isinstance(user_id, str):
                yield row_key(project, user_id)
    if key is not None:
        try:
            (project, _, _), user_id = decode_key(key)
            yield row_key(project, user_id)
        except ClaimUnreadable:
            pass  # of anything but a claim
        try:
            named = key.decode()
        except UnicodeDecodeError:
            return
        for project in projects:
            yield row_key(project, named)


def _users_of(form: Format, value: bytes | None, sent: _Sent) -> Iterator[bytes]:
    try:
        items = form.read(value, sent)
    except RecordRefused:
        return
    for item in items:
        if not isinstance(item.records, RecordRefused):
            yield from (row_key(each.project, each.user_id) for each in item.records)
