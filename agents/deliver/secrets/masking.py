"""Secrets taken out of texts, however they are written there.

A text is read in several ways at once: as it is, percent-decoded, unescaped as in JSON and Python, as in
HTML, and each of these once more. A secret that is found in any of them, or base64-encoded at any of the
three alignments, is masked where it stands in the text itself. So encoders that encode more or less than
others, in upper or lower case, make no difference.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MASK: Final = "********"
SHORTEST: Final = 8
"""Characters of a secret at least: a shorter one couldn't be masked without taking out half of every text."""
_LEAST_CUT: Final = 4
"""Of a secret that a text ends within, so many characters must be there to be masked."""
_REMEMBERED: Final = 64
"""Values masked at a time (of a secret that rotates for months the oldest are forgotten), and texts kept."""
_DEPTH: Final = 3
_READINGS: Final = 32

_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PERCENT_OR_PLUS: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+|\+")
_ESCAPE: Final = re.compile(r"""(?:\\u[0-9A-Fa-f]{4})+|(?:\\x[0-9A-Fa-f]{2})+|\\["'\\/bfnrt]""")
_ENTITY: Final = re.compile(r"&(?:[a-z]{2,6}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_LINE_END: Final = re.compile(r"[\r\n]+[ \t]?")
_BEGUN: Final = re.compile(r"(?:%[0-9A-Fa-f]{0,2}|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]{0,2})?|&#?\w{0,7})\Z")
_LONGEST_CHARACTER: Final = 4
"""Bytes of UTF-8."""
_SIMPLE: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_TO_SPACES: Final = str.maketrans("\r\n\0", "   ")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text as one way of reading gives it.

    In the original, each of its characters stands from ``starts`` to ``ends``.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Needle:
    """What is looked for. ``in_base64``: parts of its base64 that don't depend on what stands around it."""

    text: str
    in_base64: tuple[str, ...]


class Masker:
    """Remembers values, and takes them out of texts."""

    def __init__(self) -> None:
        self._needles: OrderedDict[str, tuple[_Needle, ...]] = OrderedDict()
        self._shown: dict[str, str] = {}
        """Texts that were masked lately: one failure is told of each message that it held up."""

    def hide(self, value: str) -> None:
        """Mask this from now on: the whole, each line and each word of 8 characters and more, what is in
        ``Basic ...``. A shorter value is masked nowhere.
        """
        if value in self._needles:
            self._needles.move_to_end(value)
            return
        self._shown.clear()
        self._needles[value] = tuple(_needle(each) for each in dict.fromkeys(_pieces(value)))
        while len(self._needles) > _REMEMBERED:
            self._needles.popitem(last=False)

    def masked(self, text: str, cut: bool = False) -> str:
        """``text`` without any value; ``cut``: it may end in the middle of one."""
        if not self._needles or not text:
            return text
        if not cut:
            if text not in self._shown:
                if len(self._shown) >= _REMEMBERED:
                    self._shown.clear()
                self._shown[text] = self._masked(text, cut)
            return self._shown[text]
        shown = self._masked(text, cut)
        # It may be cut within what stands for a character, too.
        rest = text
        for _ in range(_LONGEST_CHARACTER):
            end = _BEGUN.search(rest)
            if shown.endswith(MASK) or end is None:
                break
            rest = rest[: end.start()]
            trial = self._masked(rest, cut)
            shown = trial if trial.endswith(MASK) else shown
        return shown

    def _masked(self, text: str, cut: bool) -> str:
        needles = [each for found in self._needles.values() for each in found]
        spans: list[Span] = []
        for reading in _readings(text):
            for start, end in _found(reading.text, needles, cut):
                spans.append((reading.starts[start], reading.ends[end - 1]))
        return _without(text, spans)

    def masked_all(self, value: object) -> object:
        """JSON-able data with every text in it masked."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, Mapping):
            return {self.masked(str(key)): self.masked_all(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked_all(each) for each in value]
        return value


def _pieces(value: str) -> Iterator[str]:
    """The value, also with its lines in a row, then its lines and its words."""
    in_a_row = (value.translate(_TO_SPACES), " ".join(value.split()), "".join(value.splitlines()))
    found = [value, *in_a_row, *value.splitlines(), *value.split()]
    kind, _, encoded = value.strip().partition(" ")
    if kind.lower() == "basic":
        try:
            decoded = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            decoded = ""
        found += [decoded, decoded.partition(":")[2]]
    found.append(value.strip().removeprefix("whsec_"))
    return (each.strip() for each in found if len(each.strip()) >= SHORTEST)


def _needle(piece: str) -> _Needle:
    data = piece.encode("utf-8", "surrogatepass")
    parts = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        # The first characters depend on what stands before, the last one on what stands behind.
        first = (before * 8 + 5) // 6
        last = (before + len(data)) * 8 // 6
        parts.append(encoded[first:last])
    return _Needle(piece, tuple(parts))


def _found(text: str, needles: list[_Needle], cut: bool) -> Iterator[Span]:
    plain = text.translate(_URL_SAFE)
    for needle in needles:
        yield from _occurrences(text, needle.text)
        for part in needle.in_base64:
            for start, end in _occurrences(plain, part):
                start -= start > 0 and _BASE64.match(text[start - 1]) is not None
                end += end < len(text) and _BASE64.match(text[end]) is not None
                yield start, end
        if cut:
            for searched, part in ((text, needle.text), *((plain, each) for each in needle.in_base64)):
                for length in range(min(len(part) - 1, len(searched)), _LEAST_CUT - 1, -1):
                    if searched.endswith(part[:length]):
                        yield len(text) - length, len(text)
                        break


def _occurrences(text: str, part: str) -> Iterator[Span]:
    at = text.find(part)
    while at >= 0:
        yield at, at + len(part)
        at = text.find(part, at + 1)


def _without(text: str, spans: list[Span]) -> str:
    made, reached = [], 0
    for start, end in sorted(spans):
        if end <= reached:
            continue
        if start >= reached:
            made += [text[reached:start], MASK]
        reached = end
    return "".join([*made, text[reached:]])


# -- ways of reading -------------------------------------------------------------------------------------


def _readings(text: str) -> Iterator[_Reading]:
    """The text as it is, and as every way of reading gives it, up to ``_DEPTH`` of them one on the other."""
    first = _Reading(text, range(len(text)), range(1, len(text) + 1))
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
    reading: _Reading, pattern: re.Pattern[str], decode: Callable[[str], Iterator[tuple[str, int]]]
) -> _Reading:
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
    return _Reading("".join(texts), starts, ends)


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
