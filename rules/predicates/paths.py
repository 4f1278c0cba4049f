"""What the names of properties and attributes stand for in an object (docs/semantics.md, section 7).

A name that is a key as it stands wins, then the longest prefix that is a key; what is left of the name goes
on inside its value. The winning prefix is final: a shorter one isn't tried when the rest leads nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from rules.model import language

T = TypeVar("T")


class Missing:
    """The value of a property that isn't there; equal to nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

Getter: TypeAlias = Callable[[Any], object]
"""The value at a path in an object, MISSING when there is none."""


@lru_cache(maxsize=4096)
def getter_of(path: language.Path) -> Getter:
    """How to get the value at a path. The empty path is the value itself."""
    if not path:
        return lambda value: value
    if len(path) == 1:
        (name,) = path
        return lambda properties: properties.get(name, MISSING)
    whole = ".".join(path)
    prefixes = [(".".join(path[:size]), getter_of(path[size:])) for size in range(len(path) - 1, 0, -1)]

    def get(properties: Mapping[str, object]) -> object:
        if whole in properties:
            return properties[whole]
        for prefix, rest in prefixes:
            if prefix in properties:
                value = properties[prefix]
                return rest(value) if isinstance(value, dict) else MISSING
        return MISSING

    return get


ValuesGetter: TypeAlias = Callable[[Any], Iterable[object]]
"""The values that a path stands for in an object: one, or those of the elements of lists."""

NO_ELEMENTS: Final[tuple[object, ...]] = ()


def elements_of(value: object) -> Iterable[object]:
    """The elements of a list; what isn't one has none."""
    return value if type(value) is list else NO_ELEMENTS


def values_of(path: language.Path) -> ValuesGetter:
    """How to get the values at a path, MISSING where an element lacks the name."""
    if not language.has_elements(path):
        get = getter_of(path)
        return lambda properties: (get(properties),)
    at = next(at for at, part in enumerate(path) if part.endswith(language.ELEMENTS))
    get = getter_of((*path[:at], path[at].removesuffix(language.ELEMENTS)))
    rest = path[at + 1 :]
    if not rest:
        return lambda properties: elements_of(get(properties))
    inner = values_of(rest)
    return lambda properties: [
        value
        for element in elements_of(get(properties))
        for value in inner(element if type(element) is dict else {})
    ]


def readings_of(path: language.Path, read: Callable[[object], T | None]) -> Callable[[Any], list[T]]:
    """How to get the values at a path as ``read`` has them, less those of which it makes None."""
    values = values_of(path)
    return lambda properties: [found for each in values(properties) if (found := read(each)) is not None]


def first_of(path: language.Path) -> Getter:
    """How to get the value at a path, of lists that of the first element that has one."""
    values = values_of(path)
    return lambda properties: next((each for each in values(properties) if each is not MISSING), MISSING)


def lookup(properties: Mapping[str, object], path: language.Path) -> object:
    """The value at a path, for those who ask once."""
    return getter_of(path)(properties)


def prefixes_of(path: language.Path) -> Iterator[str]:
    """The keys of an object that may lead to a path, the shortest first."""
    return (".".join(path[:size]) for size in range(1, len(path) + 1))
