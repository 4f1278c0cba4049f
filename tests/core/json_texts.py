"""JSON as bytes: right, unusual, and nearly right."""

from __future__ import annotations

import json

from hypothesis import strategies as st

NUMBERS = [
    *("0", "-0", "1", "1.0", "-0.0", "1e0", "1E+5", "1e-5", "1e-6", "1e15", "1e16", "1e400"),
    *("-1e400", "1e-400", "1e-5000000000", "0e99999999999", "1e99999999999", "01", "1.", ".5"),
    *("+1", "1e", "-", "9007199254740993", "9007199254740993.0", "9223372036854775807"),
    *("9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "1.7976931348623157e308"),
    *("1.7976931348623159e308", "123456789012345678901234567890e-5", "4.9e-324", "2.4e-324"),
    *("8.41e21", "9.5367431640625e-7", "NaN", "Infinity"),
    *("1" * 30, "1" * 309, "2" * 309, "1" * 400, "1" * 4400, "0." + "1" * 400, "1" * 400 + "e-390"),
]
TEXTS = [
    *(
        '""',
        '"a"',
        '"\\u0000"',
        '"\\ud800"',
        '"\\udc00"',
        '"\\ud83d\\ude00"',
        '"\\uD83D\\uDE00"',
        '"\\ud83dx"',
    ),
    *(
        '"\\ud83d\\u0041"',
        '"\\q"',
        '"\\/"',
        '"\\b\\f\\n\\r\\t\\\\\\""',
        '"\\u12"',
        '"a\tb"',
        '"\x00"',
        '"\x7f"',
    ),
    *('"é\u2028😀"', '"\\u00E9"', '"2024-05-01T10:00:00.000Z"', '"' + "é" * 512 + '"', '"' + "x" * 513 + '"'),
]
SPACE = st.sampled_from(["", "", "", " ", "\n\t\r ", "\x0b", "\ufeff"])
SOME_SPACE = st.sampled_from(["", "", "", "", " ", "\n\t\r "])

texts = st.text(max_size=8).map(json.dumps) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
).map(lambda text: json.dumps(text, ensure_ascii=False))
numbers = st.integers(-(2**70), 2**70).map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
literals = st.sampled_from(["null", "true", "false"])
right_scalars = texts | numbers | literals
scalars = right_scalars | st.sampled_from([*NUMBERS, *TEXTS, "nul", "True", ""])
depths = st.integers(28, 36).map(lambda levels: "[" * levels + "]" * levels)


def _composed(inner: st.SearchStrategy[str], names: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    entries = st.tuples(names, inner).map(":".join)
    lists = st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]")
    objects = st.lists(entries, max_size=4).map(lambda items: "{" + " , ".join(items) + "}")
    return lists | objects


def values(leaves: st.SearchStrategy[str] = right_scalars) -> st.SearchStrategy[str]:
    """Texts of values; names come twice now and then."""
    names = st.sampled_from(['"a"', '"b"', '"\\u0061"', '""']) | texts
    return st.recursive(leaves, lambda inner: _composed(inner, names), max_leaves=12)


@st.composite
def bent(draw: st.DrawFn, right: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of which some are others, are missing, or come twice."""
    value = bytearray(draw(right))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        match draw(st.integers(0, 2)):
            case 0:
                value[at : at + 1] = draw(
                    st.binary(min_size=1, max_size=1) | st.sampled_from([b'"', b"\\", b"0", b"}"])
                )
            case 1:
                del value[at : at + draw(st.integers(1, 4))]
            case _:
                value[at:at] = value[at : at + draw(st.integers(1, 9))]
    return bytes(value)


whole = st.tuples(SPACE, values(scalars) | depths, SPACE).map(lambda parts: "".join(parts).encode())
right = st.tuples(SOME_SPACE, values(), SOME_SPACE).map(lambda parts: "".join(parts).encode())
any_bytes = whole | right | bent(right) | st.binary(max_size=20)
