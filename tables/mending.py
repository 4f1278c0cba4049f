"""What the owner of a partition of claims writes there, so that compaction leaves what holds, and nobody who
was erased.

Compaction keeps the last record of each key, and the newest claim is what holds. They differ where a claim
comes again after a crash, and where a record that forgets an erased user's claim meets one that the user made
after coming back. Then the owner writes the newest once more. Of a user who was erased it forgets what was
claimed before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tables.claims import ClaimUnreadable, Record, Standing, decode_key, decode_standing, encode_standing

ErasedMs = Callable[[str, str], int | None]
"""By project and user id, when the user was erased; None: never."""


def to_mend(
    records: Iterable[Record], known: Mapping[bytes, Standing | None], erased_ms: ErasedMs
) -> list[Record]:
    """What is to be written because of some records; ``known``: of their keys, what was there before."""
    newest = dict(known)
    is_last: dict[bytes, bool] = {}
    for key, value, upto_ms in records:
        try:
            decode_key(key)
            said = None if value is None else decode_standing(value)
        except ClaimUnreadable:
            continue
        assert key is not None
        old = newest.get(key)
        time_ms = upto_ms if said is None else said.time_ms
        is_last[key] = old is None or time_ms >= old.time_ms
        if is_last[key]:
            newest[key] = said
    found: list[Record] = []
    for key, last in is_last.items():
        claim = newest[key]
        if claim is None:
            continue
        gone = forgetting(key, claim, erased_ms)
        if gone is not None:
            found.append(gone)
        elif not last:
            found.append(Record(key, encode_standing(claim)))
    return found


def forgetting(key: bytes, claim: Standing, erased_ms: ErasedMs) -> Record | None:
    """The record that forgets a claim; None: its user wasn't erased since."""
    (project, _, _), user_id = decode_key(key)
    at_ms = erased_ms(project, user_id)
    return None if at_ms is None or claim.time_ms > at_ms else Record(key, None, at_ms)


def claim_keys(records: Iterable[Record]) -> list[bytes]:
    """The keys of records, each once."""
    return list(dict.fromkeys(each.key for each in records if each.key is not None))
