"""One spelling for rules that mean the same by construction, and the 32-bit keys made from it.

Identical conditions of different audiences share one state, found by the hash of these bytes. The
bytes are kept in stores: a change here orphans state, and a golden test pins them.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from rules import model

_SETS = frozenset({"in", "not_in", "any_of", "all_of"})
"""Operators whose operand's order and repetitions say nothing."""


def canonical(node: model.Rule | model.Predicate) -> bytes:
    """Deterministic bytes of a rule, condition or predicate.

    The order of parts, of event names and of ``in``-like lists doesn't matter, nor do repetitions,
    an ``all`` inside an ``all`` (or ``any`` inside ``any``), or whether 1 is written 1.0.
    """
    match node:
        case model.Test(path=path, operator=operator):
            return _frame(b"test", [_frame(b"path", map(_scalar, path)), _scalar(operator), _operand(node)])
        case model.AllTests() | model.All():
            return _commutative(b"all", _flat(node.parts, type(node)))
        case model.AnyTest() | model.Any():
            return _commutative(b"any", _flat(node.parts, type(node)))
        case model.NotTest(part=part) | model.Not(part=part):
            return _frame(b"not", [canonical(part)])
        case model.AttributeCondition(test=test):
            return _frame(b"attribute", [canonical(test)])
        case model.EventCondition(names=names, where=where, aggregate=aggregate, window=window):
            return _frame(
                b"event",
                [
                    _frame(b"names", sorted(set(map(_scalar, names)))),
                    b"" if where is None else canonical(where),
                    _aggregate(aggregate),
                    b"" if window is None else _frame(b"within", [_scalar(window.length_ms)]),
                ],
            )


def condition_key(project: str, condition: model.Condition) -> int:
    """An unsigned 32-bit key, the same for conditions of a project with equal canonical bytes."""
    return _key(b"condition", project, canonical(condition))


def audience_key(project: str, audience_id: str) -> int:
    """An unsigned 32-bit key of an audience of a project."""
    return _key(b"audience", project, audience_id.encode())


def _key(person: bytes, project: str, content: bytes) -> int:
    name = project.encode()
    digest = blake2b(b"%d:%b%b" % (len(name), name, content), digest_size=4, person=person)
    return int.from_bytes(digest.digest(), "big")


def _flat(parts: Iterable[model.Rule | model.Predicate], kind: type) -> Iterable[bytes]:
    """The parts' bytes, with the parts of a part of the same kind in its place."""
    for part in parts:
        if type(part) is kind:
            yield from _flat(part.parts, kind)  # type: ignore[union-attr]
        else:
            yield canonical(part)


def _commutative(tag: bytes, parts: Iterable[bytes]) -> bytes:
    distinct = sorted(set(parts))
    return distinct[0] if len(distinct) == 1 else _frame(tag, distinct)


def _aggregate(aggregate: model.Aggregate) -> bytes:
    comparisons = (
        _frame(b"compare", [_scalar(comparison.operator), _literal(comparison.operand)])
        for comparison in aggregate.comparisons
    )
    return _frame(
        b"aggregate",
        [
            _scalar(aggregate.kind),
            _frame(b"path", map(_scalar, aggregate.property or ())),
            _commutative(b"all", comparisons),
        ],
    )


def _operand(test: model.Test) -> bytes:
    if test.operator in _SETS and isinstance(test.operand, tuple):
        return _frame(b"set", sorted(set(map(_scalar, test.operand))))
    return _literal(test.operand)


def _literal(value: object) -> bytes:
    return _frame(b"list", map(_scalar, value)) if isinstance(value, tuple) else _scalar(value)


def _scalar(value: object) -> bytes:
    """A tag for the type and the value; numbers that are equal are written alike."""
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float):
        return b"n%d" % int(value) if value.is_integer() else b"n" + repr(value).encode()
    if isinstance(value, int):
        return b"n%d" % value
    if value is None:
        return b"null"
    raise TypeError(f"not a literal of a rule: {value!r}")


def _frame(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """A tag and its parts, each with its length before it: no two lists of parts give equal bytes."""
    return tag + b"(" + b"".join(b"%d:%b" % (len(part), part) for part in parts) + b")"
