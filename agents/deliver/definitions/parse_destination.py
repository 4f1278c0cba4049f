"""One destination's definition: what all kinds have in common; ``parse_targets`` has the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agents.deliver.definitions.destination import Destination, RetryPolicy, Target, TransitionEvent
from agents.deliver.definitions.on_event import OF_EVENTS, check_on_event, parse_on_event
from agents.deliver.definitions.parse_causes import EXISTING, parse_causes
from agents.deliver.definitions.parse_targets import PARSERS
from agents.deliver.definitions.parse_uses import USES
from agents.deliver.definitions.parse_values import REFUSED_NOW, Fields, plain
from agents.deliver.definitions.templates import reach_fault
from agents.evaluate.transitions import TransitionBody
from rules.model.language import Predicate, paths_of
from rules.parse.document import Entry, Node
from rules.parse.predicate import parse_where
from rules.parse.values import Reader, join

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONNECTION: Final = re.compile(r"([A-Za-z0-9_]{1,64}/)?[A-Za-z0-9_-]{1,64}")
BODIES: Final = ("native", "lytics", "segment")
TRANSITIONS: Final[Mapping[str, frozenset[TransitionEvent]]] = {
    "enter": frozenset({"enter"}),
    "exit": frozenset({"exit"}),
    "both": frozenset({"enter", "exit"}),
}
KEYS: Final = (
    *("name", "kind", "connection", "project", "label", "description", "audiences", "transitions", "causes"),
    *(
        "on",
        "events",
        "existing_members",
        "where",
        "body",
        "id_type",
        "reach_by",
        "attributes",
        "retry",
        "rate",
        "paused",
        *PARSERS,
    ),
)


@dataclass(frozen=True, slots=True)
class ParsedDestination:
    """A destination, the tree that it was read from, and where its name stands."""

    destination: Destination
    file: str
    path: str
    name_at: Node
    node: Node


def parse_destination(reader: Reader, node: Node, path: str, published: bool) -> ParsedDestination | None:
    """None: problems are noted at the reader."""
    entries = reader.entries(node, path, "a destination")
    if entries is None:
        return None
    faults = len(reader.problems)
    reader.keys(entries, path, KEYS)
    fields = Fields(reader, entries, path, node)
    name = fields.text("name", required="a destination needs 'name'") or ""
    if name and NAME.fullmatch(name) is None:
        fields.wrong("name", "name must be 1 to 64 letters, digits, underscores or hyphens")
    project = fields.text("project") or "default"
    if re.fullmatch(r"[A-Za-z0-9_]{1,64}", project) is None:
        fields.wrong("project", "project must be 1 to 64 letters, digits or underscores")
    target = _target(reader, fields, entries, node, path)
    body: Any = fields.choice("body", BODIES, "native")
    if body != "lytics" and body != "segment" and "attributes" in entries:
        fields.wrong("attributes", "attributes go along in the bodies lytics and segment only")
    destination = _made(fields, entries, node, name, project, target, body)
    own = reader.problems[faults:]
    if destination is not None and published and own and all(each.code == REFUSED_NOW for each in own):
        del reader.problems[faults:]
        destination = replace(destination, refused="; ".join(each.message for each in own))
    elif own or destination is None:
        return None
    return ParsedDestination(destination, reader.file, path, entries["name"].node, node)


def _target(
    reader: Reader, fields: Fields, entries: Mapping[str, Entry], node: Node, path: str
) -> Target | None:
    kind = fields.choice("kind", tuple(PARSERS), None, required="a destination needs 'kind'")
    for other in PARSERS:
        if kind is not None and other != kind and other in entries:
            fields.wrong(other, f"'{other}' has no effect, because kind is {kind}")
    if kind is None:
        return None
    has_connection = "connection" in entries
    if kind not in entries and not (has_connection and kind != "kafka"):
        reader.problem("missing_key", f"a destination of kind {kind} needs '{kind}'", path, node)
        return None
    inside = join(path, kind)
    own = reader.entries(entries[kind].node, inside, kind) if kind in entries else {}
    if own is None:
        return None
    parser: Callable[[Fields], Target | None] = USES[kind] if has_connection else PARSERS[kind]
    return parser(Fields(reader, own, inside, entries[kind].node if kind in entries else node))


def _made(
    fields: Fields,
    entries: Mapping[str, Entry],
    node: Node,
    name: str,
    project: str,
    target: Target | None,
    body: Any,
) -> Destination | None:
    events = fields.choice("transitions", tuple(TRANSITIONS), "both") or "both"
    on, patterns = parse_on_event(fields)
    where, causes = _where(fields, entries, on), parse_causes(fields)
    existing = fields.flag("existing_members", False)
    if existing and EXISTING not in causes:
        hint = f"take {EXISTING} into causes, or leave existing_members out"
        fields.wrong("existing_members", f"causes leaves out {EXISTING}, the cause of existing members", hint)
    connection = fields.text("connection")
    if connection is not None and _CONNECTION.fullmatch(connection) is None:
        fields.wrong("connection", "connection must be a connection's name, or project/name")
    made = {
        "label": fields.text("label") or "",
        "connection": connection,
        "description": fields.text("description") or "",
        "audiences": _audiences(fields, entries),
        "on": on,
        "events": patterns,
        "transitions": TRANSITIONS[events],
        "causes": causes,
        "existing_members": existing,
        "id_type": fields.text("id_type") or "user_id",
        "reach_by": fields.text("reach_by"),
        "attributes": fields.texts("attributes"),
        "retry": _retry(fields, entries),
        "rate": fields.number("rate", None, 0.001, 1_000_000),
        "paused": fields.flag("paused", False),
        "document": plain(node),
    }
    if target is None:
        return None
    found = Destination(name, target, project, where=where, body=body, **made)  # type: ignore[arg-type]
    _check_reach(fields, found)
    check_on_event(fields, found)
    return found


def _check_reach(fields: Fields, made: Destination) -> None:
    if made.reach_by == "user_id":
        fields.wrong("reach_by", "reach_by is the name of an identity; the user id is sent as id_type")
    elif made.reach_by is not None and made.reach_by == made.id_type:
        fields.wrong("reach_by", "reach_by is what id_type is already: leave it out")
    elif made.connection is None and (reason := reach_fault(made)) is not None:
        fields.wrong("reach_by", reason)


def _where(fields: Fields, entries: Mapping[str, Entry], on: str) -> Predicate | None:
    if "where" not in entries:
        return None
    inside, node = join(fields.path, "where"), entries["where"].node
    predicate = parse_where(fields.reader, node, inside)
    if predicate is not None:
        known = [each for each in TransitionBody.__struct_fields__ if on == "event" or each not in OF_EVENTS]
        for root in sorted({path[0] for path in paths_of(predicate)}.difference(known)):
            message = f"a transition has no field '{root}'"
            fields.reader.unknown("unknown_field", message, root, join(inside, root), node, known)
    return predicate


def _audiences(fields: Fields, entries: Mapping[str, Entry]) -> frozenset[str] | None:
    if "audiences" not in entries or entries["audiences"].node.value == "all":
        return None
    if isinstance(entries["audiences"].node.value, str):
        fields.wrong("audiences", "audiences must be all, or a list of ids")
        return None
    return frozenset(fields.texts("audiences"))


def _retry(fields: Fields, entries: Mapping[str, Entry]) -> RetryPolicy:
    standard = RetryPolicy()
    if "retry" not in entries:
        return standard
    inside = join(fields.path, "retry")
    own = fields.reader.entries(entries["retry"].node, inside, "retry")
    if own is None:
        return standard
    fields.reader.keys(own, inside, ("for", "first", "most"))
    retry = Fields(fields.reader, own, inside, entries["retry"].node)
    made = RetryPolicy(
        retry.duration("for", standard.for_ms),
        retry.duration("first", standard.first_ms),
        retry.duration("most", standard.most_ms),
    )
    if made.first_ms > made.most_ms:
        retry.wrong("first" if "first" in own else "most", "retry.first is longer than retry.most")
    return made
