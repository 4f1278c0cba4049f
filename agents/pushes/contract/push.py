"""A push as data: which audience goes where, when, and what of each member.

``agents.pushes.contract.parse`` makes these from YAML or JSON. Instants and durations are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from agents.deliver.definitions.destination import Json

MAX_IDS: Final = 10_000_000
"""A run with that many ids or more fails, if the definition doesn't say otherwise."""
MAX_ATTRIBUTES: Final = 30
USER_ID: Final = "user_id"
"""The id type that every user has; all others are namespaces of identities."""

Encryption: TypeAlias = Literal["plain", "md5", "sha256", "as_is"]
Kind: TypeAlias = Literal["email", "phone", "text"]
Missed: TypeAlias = Literal["run_once", "skip"]
Overlap: TypeAlias = Literal["wait", "skip"]
Format: TypeAlias = Literal["csv", "jsonl", "kafka"]
Empty: TypeAlias = Literal["empty", "null", "omit"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a push runs. ``cron``: five fields in ``zone``, whatever ``kind`` its author wrote; empty for
    ``once``.

    ``once`` runs at ``start_ms``, or as soon as it is published where that is None. All others run at the
    times of ``cron`` from ``start_ms`` up to and without ``end_ms`` (None: for ever).

    ``missed``: what happens to times at which no process was there: one run for all of them together, or
    none. ``overlap``: what happens to a time that comes while the push still runs.
    """

    kind: Literal["once", "hourly", "daily", "weekly", "monthly", "cron"] = "once"
    cron: str = ""
    zone: str = "UTC"
    start_ms: int | None = None
    end_ms: int | None = None
    missed: Missed = "run_once"
    overlap: Overlap = "wait"


@dataclass(frozen=True, slots=True)
class IdColumn:
    """One type of id that goes along: ``user_id``, or a namespace of identities.

    ``as_is``: the value is encrypted already, by ``method``, whose name is passed along; nobody decrypts it.
    ``column`` is what it is called at the target. ``kind`` says how values are normalised before they are
    hashed (None: the type's name says so), ``country_code`` what phone numbers without one begin with.
    """

    type: str
    encryption: Encryption = "plain"
    method: str = ""
    column: str = ""
    kind: Kind | None = None
    country_code: str = ""


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """An attribute (a dotted name, in parts) and what it is called at the target."""

    path: tuple[str, ...]
    column: str


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How rows are written. All but ``kind``, ``gzip`` and ``empty`` are for ``csv`` alone.

    ``empty``: what stands in place of a value that the user doesn't have: nothing (CSV) or an empty text,
    ``null``, or the field is left out (JSON alone).
    """

    kind: Format = "csv"
    gzip: bool = False
    empty: Empty = "empty"
    header: bool = True
    delimiter: str = ","
    quote_all: bool = False
    bom: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What a row holds. ``since`` and ``exit_at`` name the columns of these instants; empty: they don't go
    along.

    Each row has one id. ``id`` names its column: by default it is called as its type is, and ``id`` where
    there are several. ``id_type`` names the column that tells these apart, ``encryption`` the one that says
    how the id is encrypted (empty: the list doesn't say so).
    """

    ids: tuple[IdColumn, ...] = (IdColumn(USER_ID, column=USER_ID),)
    attributes: tuple[AttributeColumn, ...] = ()
    since: str = ""
    exit_at: str = ""
    id: str = ""
    id_type: str = "id_type"
    encryption: str = "encryption"
    format: RowFormat = RowFormat()


@dataclass(frozen=True, slots=True)
class Push:
    """One definition. ``target`` is what the kind of the connection asks for (a topic, a folder, …)."""

    name: str
    audience: str
    """Its id."""
    connection: str
    """Its name."""
    project: str = "default"
    description: str = ""
    labels: tuple[str, ...] = ()
    schedule: Schedule = Schedule()
    content: Content = Content()
    target: Mapping[str, Json] = field(default_factory=dict)
    max_ids: int = MAX_IDS
    """A run with that many ids or more fails."""
    enabled: bool = True
    document: Json = field(default=None, compare=False)
    """The definition as its author wrote it, without positions."""

    @property
    def key(self) -> str:
        """``project/name``: what it is known by."""
        return f"{self.project}/{self.name}"
