"""Whether a record is of a user who was erased."""

from __future__ import annotations

from collections.abc import Iterator

from agents.formats.json import read_json
from agents.formats.records import as_id
from agents.formats.refused import RecordRefused
from tables.codec import row_key
from tables.erased import pseudonym


class ErasedRecords:
    """Knows by the pseudonyms of those who were erased. Whom a record is of is told by its key, or by the
    ``user_id`` of its value where that is JSON; in a list, of any of its parts."""

    def __init__(self, names: frozenset[bytes]) -> None:
        self._names = names

    def has(self, key: bytes | None, value: bytes | None) -> bool:
        return any(pseudonym(each) in self._names for each in _row_keys(key, value))


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
            named = key.decode()
        except UnicodeDecodeError:
            return
        for project in projects:
            yield row_key(project, named)
