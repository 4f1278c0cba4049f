"""JSON as producers write it: what no other program would refuse is kept as well as it can be.

A whole number beyond 64 bits becomes a float, a number beyond floats the largest one, half a surrogate pair
U+FFFD. msgspec refuses the last two, so such values (and only such) are read once more with the standard
library.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeAlias

import msgspec

from agents.formats.refused import RecordRefused

MAX_DEPTH: Final = 32
"""Levels of arrays and objects in properties and attributes."""
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_LARGEST: Final = 1.7976931348623157e308
_HALVES = re.compile("[\ud800-\udfff]")
_OUT_OF_RANGE: Final = "out of range"
_DIGITS: Final = 400
"""More digits than the largest float has."""

Values: TypeAlias = dict[str, Any] | list[Any]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read_json(value: bytes) -> object:
    """The value of a JSON text. Raises RecordRefused."""
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not is_mendable(value, error):
            raise refusal_of(error) from None
        return mend_json(value, error)


def is_mendable(value: bytes, error: Exception) -> bool:
    """Whether what msgspec refused may be JSON all the same: half a surrogate pair, or a large number."""
    if isinstance(error, UnicodeDecodeError | RecursionError):
        return False
    return b"\\u" in value or _OUT_OF_RANGE in str(error)


def mend_json(value: bytes, error: Exception) -> object:
    """Read once more what msgspec refused with ``error``. Raises RecordRefused, with that text."""
    try:
        found = json.loads(
            value.decode(), parse_int=_whole, parse_float=_decimal, parse_constant=_no_constant
        )
        return _paired(found)
    except UnicodeDecodeError as invalid:
        raise refusal_of(invalid) from None
    except RecursionError as invalid:
        raise refusal_of(invalid) from None
    except ValueError:
        raise refusal_of(error) from None


def refusal_of(error: Exception) -> RecordRefused:
    """What an error of the decoder says of a record."""
    if isinstance(error, UnicodeDecodeError):
        return RecordRefused("not_utf8", str(error), "decode")
    if isinstance(error, RecursionError):
        return RecordRefused("too_deep", f"nested deeper than {MAX_DEPTH} levels", "decode")
    if isinstance(error, msgspec.ValidationError):
        return RecordRefused("invalid", str(error))
    return RecordRefused("not_json", str(error), "decode")


def write_json(value: object) -> bytes:
    """A value that ``read_json`` gave."""
    try:
        return _encode(value)
    except (OverflowError, msgspec.MsgspecError):  # whole numbers of any size
        return json.dumps(value, ensure_ascii=False).encode()


def bounded(values: Values, depth: int = 1) -> None:
    """Make whole numbers beyond 64 bits floats, in place. Raises RecordRefused (too_deep)."""
    large: list[Any] = []
    for name, item in values.items() if isinstance(values, dict) else enumerate(values):
        kind = type(item)
        if kind is str or kind is float or kind is bool or item is None:
            continue
        if kind is int:
            if not _INT64_MIN <= item <= _INT64_MAX:
                large.append(name)
        elif depth == MAX_DEPTH:
            raise RecordRefused("too_deep", f"nested deeper than {MAX_DEPTH} levels")
        else:
            bounded(item, depth + 1)
    for name in large:
        values[name] = as_float(values[name])


def as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return _LARGEST if number > 0 else -_LARGEST


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else _decimal(digits)


def _decimal(digits: str) -> float:
    return min(max(float(digits), -_LARGEST), _LARGEST)


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _paired(value: object) -> object:
    """The value without halves of surrogate pairs. Raises RecursionError."""
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_paired(item) for item in value]
    if isinstance(value, dict):
        return {_HALVES.sub("\ufffd", name): _paired(item) for name, item in value.items()}
    return value
