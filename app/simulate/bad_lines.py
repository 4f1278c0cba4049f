"""Lines that can't be used: the first of each kind are told, of the others there is a number in the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from app.simulate.log_file import looks_like

TOLD: Final = 5
"""Lines of one kind that are told."""
KINDS: Final = 20
"""Kinds that are told apart; all others of one code are one kind."""

_VARYING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\d+")


@dataclass(slots=True)
class _Kind:
    code: str
    count: int = 0
    last: int = 0


class BadLines:
    """``tell`` gets text for a person. ``file``: how the file is called there."""

    def __init__(self, file: str, tell: Callable[[str], None]) -> None:
        self.count = 0
        self._file = file
        self._tell = tell
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._first = b""

    def watched(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines; what the file looks like is told from the first one, when that is bad."""
        for number, line in enumerate(lines):
            if number == 0:
                self._first = line[:10_000]
            yield line

    def add(self, number: int, code: str, message: str) -> None:
        self.count += 1
        kind = self._kind(code, message)
        kind.count, kind.last = kind.count + 1, number
        if kind.count <= TOLD:
            self._tell(f"{self._file}:{number}: {code}: {message}")
        if number == 1 and self.count == 1 and (told := looks_like(self._first)):
            self._tell(f"{self._file}: {told}")

    def end(self) -> None:
        """Tell how many were not told."""
        for kind in self._kinds.values():
            if kind.count > TOLD:
                more = kind.count - TOLD
                self._tell(f"{self._file}: {kind.code}: {more} more like it, the last in line {kind.last}")

    def _kind(self, code: str, message: str) -> _Kind:
        key = code, _VARYING.sub("…", message)
        if key not in self._kinds and len(self._kinds) >= KINDS:
            key = code, ""
        return self._kinds.setdefault(key, _Kind(code))
