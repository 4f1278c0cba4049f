"""Secrets taken out of texts, however they are written there.

A text is read in several ways at once: as it is, percent-decoded, unescaped as in JSON and Python, as in
HTML, and each of these once more. A secret that is found in any of them, or base64-encoded at any of the
three alignments, is masked where it stands in the text itself. So encoders that encode more or less than
others, in upper or lower case, make no difference.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from cachetools import FIFOCache, LRUCache

from agents.deliver.secrets.readings import readings

MASK: Final = "********"
SHORTEST: Final = 8
"""Characters of a secret at least: a shorter one couldn't be masked without taking out half of every text."""
_LEAST_CUT: Final = 4
"""Of a secret that a text ends within, so many characters must be there to be masked."""
_REMEMBERED: Final = 64
"""Values masked at a time (of a secret that rotates for months the oldest are forgotten), and texts kept."""
_BEGUN: Final = re.compile(r"(?:%[0-9A-Fa-f]{0,2}|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]{0,2})?|&#?\w{0,7})\Z")
_LONGEST_CHARACTER: Final = 4
"""Bytes of UTF-8."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_TO_SPACES: Final = str.maketrans("\r\n\0", "   ")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Needle:
    """What is looked for. ``in_base64``: parts of its base64 that don't depend on what stands around it."""

    text: str
    in_base64: tuple[str, ...]


class Masker:
    """Remembers values, and takes them out of texts. Threads may share one."""

    def __init__(self) -> None:
        self._lock = Lock()
        """Held while the caches are used: a long text is masked in a thread."""
        self._needles: FIFOCache[str, tuple[_Needle, ...]] = FIFOCache(_REMEMBERED)
        self._shown: LRUCache[str, str] = LRUCache(_REMEMBERED)
        """Texts that were masked lately: one failure is told of each message that it held up."""

    def hide(self, value: str) -> None:
        """Mask this from now on: the whole, each line and each word of 8 characters and more, what is in
        ``Basic ...``. A shorter value is masked nowhere.
        """
        with self._lock:
            known = self._needles.pop(value, None)
            if known is None:
                self._shown.clear()
                known = tuple(_needle(each) for each in dict.fromkeys(_pieces(value)))
            self._needles[value] = known  # now the last to be forgotten

    def masked(self, text: str, cut: bool = False) -> str:
        """``text`` without any value; ``cut``: it may end in the middle of one."""
        if not self._needles or not text:
            return text
        if not cut:
            return self._remembered(text)
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

    def _remembered(self, text: str) -> str:
        with self._lock:
            shown = self._shown.get(text)
            hidden = set(self._needles)
        if shown is None:
            shown = self._masked(text, cut=False)
            with self._lock:
                if hidden == set(self._needles):  # otherwise a value came meanwhile that may be in it
                    self._shown[text] = shown
        return shown

    def _masked(self, text: str, cut: bool) -> str:
        with self._lock:
            needles = [each for found in self._needles.values() for each in found]
        spans: list[Span] = []
        for reading in readings(text):
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
