"""What is noted of notices on their compacted topic (``<prefix>.notices``), so that each is sent once.

Key: ``project/audience/version/instant/code`` (``NoticeKey``). Value: ``Note`` as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final, Literal

import msgspec

from agents.notices.notice import BATCH_READY, CODES, NoticeKey
from agents.registry.registry import Registry
from agents.registry.unusable import Unusable

Outcome = Literal["sending", "sent", "lost", "given_up"]
"""It is sent once, from now on; the receiver took it; it isn't sent again, although the receiver may not have
it; it was tried for too long."""
DONE: Final = frozenset({"sent", "lost", "given_up"})


class Note(msgspec.Struct, frozen=True):
    """The value of a record."""

    outcome: Outcome
    at_ms: int
    """By the wall clock."""


_decode = msgspec.json.Decoder(Note).decode
_encode = msgspec.json.Encoder().encode


def note_record(key: NoticeKey, note: Note | None) -> tuple[bytes, bytes | None]:
    """None: nothing needs to be known of it any more."""
    return bytes(key), None if note is None else _encode(note)


class Notes(Registry[NoticeKey, Note]):
    """By notice."""

    key_is: ClassVar[str] = "a note needs the key project/audience/version/instant/code"

    def id_of(self, key: bytes) -> NoticeKey:
        return parse_key(key)

    def decode(self, key: bytes, value: bytes) -> Note:
        return _decode(value)

    @property
    def unfinished(self) -> list[NoticeKey]:
        """Those of which nobody knows whether they were sent: the process that sent them was killed."""
        return [key for key, note in self.published.items() if note.outcome == "sending"]

    def last_instants(self) -> dict[tuple[str, str], int]:
        """By project and audience: the latest compute instant that is done with."""
        found: dict[tuple[str, str], int] = {}
        for key, note in self.published.items():
            if key.version is None and key.code == BATCH_READY and note.outcome in DONE:
                name = key.project, key.audience
                found[name] = max(found.get(name, 0), key.instant_ms or 0)
        return found

    def outdated(self, known_versions: Iterable[tuple[str, str, int]]) -> Iterator[NoticeKey]:
        """Notes that no notice can meet any more: of compute instants before the last one, and of versions
        of which nothing is known."""
        last, known = self.last_instants(), set(known_versions)
        for key in self.published:
            if key.version is None:
                if (key.instant_ms or 0) < last.get((key.project, key.audience), 0):
                    yield key
            elif (key.project, key.audience, key.version) not in known:
                yield key


def parse_key(key: bytes) -> NoticeKey:
    """Raises Unusable."""
    parts = key.decode().split("/")
    code = next((each for each in CODES if each == parts[-1]), None)
    if len(parts) != 5 or code is None:
        raise Unusable(Notes.key_is)
    return NoticeKey(parts[0], parts[1], _number(parts[2]), _number(parts[3]), code)


def _number(text: str) -> int | None:
    if text == "-":
        return None
    if not text.removeprefix("-").isdigit() or not text.isascii():
        raise Unusable(Notes.key_is)
    return int(text)
