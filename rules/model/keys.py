"""The 32-bit keys of conditions and audiences: which conditions share one state in a row.

They are made from what is the same for conditions that mean the same (``rules.model.canonical``). Stores hold
them, and a golden test pins them.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from rules.model import language
from rules.model.canonical import canonical, frame, scalar

_OF_DATES = frozenset({"older_than", "newer_than", "in_next", "between_next"})
_ORDERED = frozenset({"gt", "gte", "lt", "lte", "between"})


def condition_key(
    project: str, condition: language.Condition, timezone: str = "UTC", schedule: str = "", history: str = ""
) -> int:
    """An unsigned 32-bit key, the same for conditions of a project with equal ``key_bytes``."""
    return _key(b"condition", project, key_bytes(condition, timezone, schedule, history))


def key_bytes(
    condition: language.Condition, timezone: str = "UTC", schedule: str = "", history: str = ""
) -> bytes:
    """What a condition's key is made from.

    Its canonical bytes. If its value depends on the audience's time zone (``is_zoned``), also that zone's
    name, UTC included. For batch audiences also the ``schedule_scope``, because their state is held
    differently, and differs by compute instants. Also the ``history_scope``. So a condition has another key
    only where it has another value or state.
    """
    content = canonical(condition)
    # Since dates are midnights in the zone, more depends on it; what UTC's audiences have keeps its key.
    if is_zoned(condition) or (timezone != "UTC" and _has_dates(condition)):
        content = frame(b"zoned", [scalar(timezone), content])
    if _keeps_tests_in_order(condition):
        content = frame(b"spelled", [content])
    if schedule:
        content = frame(b"batch", [scalar(schedule), content])
    return frame(b"history", [scalar(history), content]) if history else content


def schedule_scope(audience: language.Audience) -> str:
    """What tells the conditions of batch audiences apart by their compute instants; empty for others.

    Audiences with one schedule and time zone share. One that is computed ``once`` shares with none, but keeps
    its state when it is published again.
    """
    schedule = audience.schedule
    if schedule is None:
        return ""
    if schedule.kind == "once":
        return f"once {audience.id}"
    return f"{audience.timezone} {schedule.cron or schedule.kind}"


def history_scope(audience: language.Audience) -> str:
    """What tells the conditions of audiences apart that know less history than others; empty: all of it.

    One that asks for less shares its states with none: publishing another one must not change its members.
    """
    return "" if audience.backfill.history_ms is None else audience.id


def is_zoned(condition: language.Condition) -> bool:
    """Whether calendar days or periods, and so the time zone, decide the value: ``period`` windows, the
    aggregate ``days``, and ``anniversary``. Instants in ``from`` and ``to`` are fixed when it is parsed."""
    match condition:
        case language.EventCondition(aggregate=aggregate, window=window):
            zoned = isinstance(window, language.Period) or aggregate.kind == "days"
        case language.Sequence(window=window) | language.NotFollowed(window=window):
            zoned = isinstance(window, language.Period)
        case language.AttributeCondition() | language.InAudience():
            zoned = False
    return zoned or any(test.operator == "anniversary" for test in _tests(condition))


def _has_dates(condition: language.Condition) -> bool:
    """Whether a test reads dates, which are midnights in the audience's zone."""
    return any(test.operator in _OF_DATES or is_order_of_dates(test) for test in _tests(condition))


def _keeps_tests_in_order(condition: language.Condition) -> bool:
    """Whether its state is a list in the order of several tests. Stores have states in their authors' order
    under the keys that such conditions had before ``spelling``."""
    match condition:
        case language.Sequence(steps=steps):
            wheres = [each.event.where for each in steps]
        case language.NotFollowed(event=event, follower=follower):
            wheres = [event.where, follower.where]
        case _:
            return False
    tests = [[*language.tests_of(each)] for each in wheres]
    return any(len(each) > 1 and any(isinstance(one.operand, language.Ref) for one in each) for each in tests)


def is_order_of_dates(test: language.Test) -> bool:
    """Whether a test may put instants or dates in order."""
    operand = test.operand[0] if isinstance(test.operand, tuple) and test.operand else test.operand
    return test.operator in _ORDERED and isinstance(operand, str | language.Ref)


def _tests(condition: language.Condition) -> Iterator[language.Test]:
    predicates: list[language.Predicate | None]
    match condition:
        case language.EventCondition(where=where, aggregate=aggregate):
            predicates = [where, aggregate.test]
        case language.Sequence(steps=steps, without=without):
            predicates = [each.event.where for each in steps]
            predicates.append(None if without is None else without.where)
        case language.NotFollowed(event=event, follower=follower):
            predicates = [event.where, follower.where]
        case language.AttributeCondition(test=test):
            predicates = [test]
        case language.InAudience():
            predicates = []
    for predicate in predicates:
        yield from language.tests_of(predicate)


def audience_key(project: str, audience_id: str) -> int:
    """An unsigned 32-bit key of an audience of a project."""
    return _key(b"audience", project, audience_id.encode())


def destination_key(project: str, name: str) -> int:
    """An unsigned 32-bit key of a destination of a project, beside those of its audiences."""
    return _key(b"destination", project, name.encode())


def _key(person: bytes, project: str, content: bytes) -> int:
    name = project.encode()
    digest = blake2b(b"%d:%b%b" % (len(name), name, content), digest_size=4, person=person)
    return int.from_bytes(digest.digest(), "big")
