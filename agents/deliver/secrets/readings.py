"""A text, read in every way in which its receiver may read it.

As it is, percent-decoded, unescaped as in JSON and Python, as in HTML, without line ends, and each of these
once more, up to three of them one on the other.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_DEPTH: Final = 3
_READINGS: Final = 32

_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PERCENT_OR_PLUS: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+|\+")
_ESCAPE: Final = re.compile(r"""(?:\\u[0-9A-Fa-f]{4})+|(?:\\x[0-9A-Fa-f]{2})+|\\["'\\/bfnrt]""")
_ENTITY: Final = re.compile(r"&(?:[a-z]{2,6}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_LINE_END: Final = re.compile(r"[\r\n]+[ \t]?")
_SIMPLE: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class ReadText:
    """A text as one way of reading gives it.

    In the original, each of its characters stands from ``starts`` to ``ends``.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


def readings(text: str) -> Iterator[ReadText]:
    """The text as it is, and as every way of reading gives it, up to ``_DEPTH`` of them one on the other."""
    first = ReadText(text, range(len(text)), range(1, len(text) + 1))
    yield first
    seen, fresh = {text}, [first]
    for _ in range(_DEPTH):
        before, fresh = fresh, []
        for reading in before:
            for pattern, decode in _WAYS:
                if len(seen) >= _READINGS or pattern.search(reading.text) is None:
                    continue
                made = _read(reading, pattern, decode)
                if made.text not in seen:
                    seen.add(made.text)
                    fresh.append(made)
                    yield made


def _read(
    reading: ReadText, pattern: re.Pattern[str], decode: Callable[[str], Iterator[tuple[str, int]]]
) -> ReadText:
    """``decode`` gives what a match is read as: characters, each with how many it took in the match."""
    texts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    reached = 0

    def keep(end: int) -> None:
        texts.append(reading.text[reached:end])
        starts.extend(reading.starts[reached:end])
        ends.extend(reading.ends[reached:end])

    for match in pattern.finditer(reading.text):
        keep(match.start())
        at = match.start()
        for character, length in decode(match[0]):
            texts.append(character)
            starts.append(reading.starts[at])
            ends.append(reading.ends[at + length - 1])
            at += length
        reached = match.end()
    keep(len(reading.text))
    return ReadText("".join(texts), starts, ends)


def _bytes_read(data: bytes, each: int) -> Iterator[tuple[str, int]]:
    """UTF-8, of which a byte is written with ``each`` characters."""
    for character in data.decode("utf-8", "surrogateescape"):
        yield character, len(character.encode("utf-8", "surrogateescape")) * each


def _percent(found: str) -> Iterator[tuple[str, int]]:
    return _bytes_read(bytes.fromhex(found.replace("%", "")), 3)


def _percent_or_plus(found: str) -> Iterator[tuple[str, int]]:
    return iter([(" ", 1)]) if found == "+" else _percent(found)


def _escape(found: str) -> Iterator[tuple[str, int]]:
    if found.startswith("\\x"):
        yield from _bytes_read(bytes.fromhex(found.replace("\\x", "")), 4)
    elif found.startswith("\\u"):
        units = bytes.fromhex(found.replace("\\u", ""))
        for character in units.decode("utf-16-be", "surrogatepass"):
            yield character, 12 if ord(character) > 0xFFFF else 6
    else:
        yield _SIMPLE.get(found[1], found[1]), 2


def _entity(found: str) -> Iterator[tuple[str, int]]:
    read = html.unescape(found)
    if len(read) == 1:
        yield read, len(found)
    else:
        yield from ((character, 1) for character in found)


def _line_end(found: str) -> Iterator[tuple[str, int]]:
    """Nothing: base64 and long values are broken into lines, also with other line ends than they had."""
    return iter(())


_WAYS: Final = (
    (_PERCENT, _percent),
    (_PERCENT_OR_PLUS, _percent_or_plus),
    (_ESCAPE, _escape),
    (_ENTITY, _entity),
    (_LINE_END, _line_end),
)
