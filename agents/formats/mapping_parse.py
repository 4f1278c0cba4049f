"""A mapping from the settings, checked: everything that is wrong at once, with what was probably meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agents.formats import mapping
from agents.formats.mapping import Mapped, RecordMap, Source
from agents.formats.paths import Path, PathInvalid, parse_path
from rules.parse.predicate import parse_where
from rules.parse.problems import name_hint
from rules.parse.text import parse_text
from rules.parse.values import Reader, join
from rules.predicates.compiled import compile_predicate

SCALARS: Final = ("user_id", "event", "id", "time", "project")
OBJECTS: Final = ("properties", "identities", "set", "set_once", "add", "append")
FIELDS: Final = (*SCALARS, *OBJECTS, "unset", "unset_all")
RECORD_KEYS: Final = (*FIELDS, "when")
TOP_KEYS: Final = ("each", "records")
ORIGINS: Final = ("path", "root", "constant", "template", "header", "key")
"""Where a value comes from; a source has one of them."""
CHANGES: Final = ("as", "unit", "default")
SPREAD: Final = "*"
PAIRS: Final = ("pairs", "name", "value")


@dataclass(frozen=True, slots=True)
class Mistake:
    """``path`` leads to the spot in the mapping; empty: all of it."""

    path: str
    message: str


@dataclass(slots=True)
class _Parser:
    mistakes: list[Mistake] = field(default_factory=list)
    reads_beside_value: bool = False

    def mistake(self, path: str, message: str) -> None:
        self.mistakes.append(Mistake(path, message))

    def mapped(self, given: object) -> Mapped | None:
        each: Path | None = None
        if isinstance(given, dict) and not given.keys().isdisjoint(TOP_KEYS):
            each = self._each(given)
            if "records" in given:
                self._keys(given, "", TOP_KEYS)
                given = given["records"]
                records = self._records(given, "records")
            else:
                fields = {name: value for name, value in given.items() if name != "each"}
                records = [self._record(fields, "", (*RECORD_KEYS, *TOP_KEYS))]
        elif isinstance(given, list):
            records = self._records(given, "")
        else:
            records = [self._record(given, "", (*RECORD_KEYS, *TOP_KEYS))]
        if self.mistakes:
            return None
        return Mapped([each for each in records if each is not None], each, self.reads_beside_value)

    def _each(self, given: Mapping[str, Any]) -> Path | None:
        if "each" not in given:
            return None
        path = self._path(given["each"], "each")
        if path and path[-1] is None:
            path = path[:-1]
        if path == ():
            self.mistake("each", "a value that is itself a list needs no `each`")
        elif path is not None and None in path:
            self.mistake("each", "there is one list of items; [] may stand at the end only")
        return path

    def _records(self, given: object, path: str) -> list[RecordMap | None]:
        if not isinstance(given, list) or not given:
            self.mistake(path, f"must be a list of records, not {_shown(given)}")
            return []
        return [self._record(each, join(path, at), RECORD_KEYS) for at, each in enumerate(given)]

    def _record(self, given: object, path: str, allowed: Iterable[str]) -> RecordMap | None:
        if not isinstance(given, dict):
            self.mistake(path, f"must be a map of fields, not {_shown(given)}")
            return None
        self._keys(given, path, allowed)
        if "user_id" not in given:
            self.mistake(path, "user_id is missing: say where the user's id stands")
        updates = [name for name in mapping.UPDATES if name in given]
        if "event" not in given and not updates and "identities" not in given:
            self.mistake(path, "it makes neither an event (event) nor a profile update (set, add, ...)")
        for name in ("event", "properties"):
            if name in given and updates:
                told = f"a record is an event or a profile update, and {updates[0]} is of the latter"
                self.mistake(join(path, name), f"{told}: make two with `records`")
        fields = {name: self._field(name, given[name], join(path, name)) for name in FIELDS if name in given}
        when = self._when(given["when"], join(path, "when")) if "when" in given else None
        return RecordMap(fields, when)

    def _field(self, name: str, given: object, path: str) -> Source:
        if name == "unset_all":
            if given is not True:
                self.mistake(path, f"must be true, not {_shown(given)}")
            return mapping.constant(True)
        if name == "unset":
            if isinstance(given, list) and all(isinstance(each, str) for each in given):
                return mapping.constant(given)
            return self._source(given, path)
        return self._object(given, path) if name in OBJECTS else self._source(given, path, name == "time")

    def _object(self, given: object, path: str) -> Source:
        if isinstance(given, str):
            return self._source(given, path)
        if not isinstance(given, dict):
            told = 'a path to an object, or a map of names, with "*" for all of an object'
            self.mistake(path, f"must be {told}, not {_shown(given)}")
            return mapping.constant(None)
        spread = given.get(SPREAD, [])
        listed = spread if isinstance(spread, list) else [spread]
        inside = join(path, SPREAD)
        return mapping.as_object(
            {name: self._source(each, join(path, name)) for name, each in given.items() if name != SPREAD},
            [
                self._pairs(each, inside) if isinstance(each, dict) else self._source(each, inside)
                for each in listed
            ],
        )

    def _pairs(self, given: Mapping[str, Any], path: str) -> Source:
        self._keys(given, path, PAIRS)
        missing = [name for name in PAIRS if name not in given]
        if missing:
            self.mistake(
                path, f"{' and '.join(missing)} missing: pairs is the list, name and value are in it"
            )
            return mapping.constant(None)
        values = given["value"] if isinstance(given["value"], list) else [given["value"]]
        listed = self._source(given["pairs"], join(path, "pairs"))
        name = self._path(given["name"], join(path, "name"))
        found = [self._path(each, join(path, "value")) for each in values]
        return mapping.pairs(listed, name or (), [each or () for each in found])

    def _source(self, given: object, path: str, is_time: bool = False) -> Source:
        if isinstance(given, str):
            return mapping.at_path(self._path(given, path) or ())
        if isinstance(given, list):
            if not given:
                self.mistake(path, "an empty list finds nothing")
            sources = [self._source(each, join(path, at), is_time) for at, each in enumerate(given)]
            return mapping.first_there(sources)
        if not isinstance(given, dict):
            self.mistake(path, f"must be a path (text) or a map; write {{constant: {json.dumps(given)}}}")
            return mapping.constant(None)
        return self._from_map(given, path, is_time)

    def _from_map(self, given: Mapping[str, Any], path: str, is_time: bool) -> Source:
        self._keys(given, path, (*ORIGINS, *CHANGES))
        origins = [name for name in ORIGINS if name in given]
        if len(origins) != 1:
            self.mistake(path, f"must have one of {', '.join(ORIGINS)}")
            return mapping.constant(None)
        source = self._origin(origins[0], given[origins[0]], join(path, origins[0]))
        if "as" in given:
            if given["as"] in mapping.KINDS:
                source = mapping.converted(source, given["as"])
            else:
                self._unknown(join(path, "as"), given["as"], mapping.KINDS)
        if "unit" in given:
            if not is_time:
                self.mistake(join(path, "unit"), "only times have a unit")
            elif given["unit"] in mapping.UNITS:
                source = mapping.in_unit(source, given["unit"])
            else:
                self._unknown(join(path, "unit"), given["unit"], mapping.UNITS)
        return mapping.with_default(source, given["default"]) if "default" in given else source

    def _origin(self, origin: str, given: Any, path: str) -> Source:
        if origin == "constant":
            return mapping.constant(given)
        if origin == "key":
            if given is not True:
                self.mistake(path, f"must be true, not {_shown(given)}")
            self.reads_beside_value = True
            return mapping.key
        if origin == "path" and isinstance(given, list):
            return mapping.first_there([self._source(each, join(path, at)) for at, each in enumerate(given)])
        if not isinstance(given, str) or not given:
            self.mistake(path, f"must be text, not {_shown(given)}")
            return mapping.constant(None)
        if origin == "header":
            self.reads_beside_value = True
            return mapping.header(given)
        if origin == "template":
            return self._template(given, path)
        found = self._path(given, path) or ()
        return mapping.at_root(found) if origin == "root" else mapping.at_path(found)

    def _template(self, text: str, path: str) -> Source:
        parts: list[str | Source] = []
        for at, piece in enumerate(text.split("{")):
            name, closed, rest = piece.partition("}")
            if at == 0:
                parts.append(piece)
            elif not closed:
                self.mistake(path, f"{_shown(text)} has a {{ without its }}")
            else:
                parts += [mapping.at_path(self._path(name, path) or ()), rest]
        return mapping.template([part for part in parts if part != ""])

    def _path(self, given: object, path: str) -> Path | None:
        if not isinstance(given, str):
            self.mistake(path, f"must be a path (text), not {_shown(given)}")
            return None
        try:
            return parse_path(given)
        except PathInvalid as invalid:
            self.mistake(path, str(invalid))
            return None

    def _when(self, given: object, path: str) -> Callable[[Mapping[str, object]], bool] | None:
        """A ``where`` of section 7 over the item."""
        nodes, _ = parse_text(json.dumps(given, default=str), "")
        reader = Reader("", 1)
        predicate = parse_where(reader, nodes[0], path) if nodes else None
        for problem in reader.problems:
            hint = f" - {problem.hint}" if problem.hint else ""
            self.mistake(problem.path, f"{problem.message}{hint}")
        if not nodes:
            self.mistake(path, f"must be a map of tests, not {_shown(given)}")
        return None if predicate is None else compile_predicate(predicate)

    def _keys(self, given: Mapping[str, Any], path: str, allowed: Iterable[str]) -> None:
        names = tuple(allowed)
        for key in given:
            if key not in names:
                self.mistake(
                    join(path, str(key)), f"there is no field '{key}' here; {name_hint(str(key), names)}"
                )

    def _unknown(self, path: str, value: object, allowed: Iterable[str]) -> None:
        self.mistake(path, f"can't be {_shown(value)}; {name_hint(str(value), allowed)}")


def parse_mapping(given: object) -> tuple[Mapped | None, Sequence[Mistake]]:
    """The format of a mapping as YAML or JSON has it; None when there are mistakes."""
    parser = _Parser()
    found = parser.mapped(given)
    return (None if parser.mistakes else found), parser.mistakes


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"
