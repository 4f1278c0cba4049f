"""A notice: what a client is told of an audience, and what stays noted of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

Code = Literal[
    "BATCH_AUDIENCE_COMPUTE_SUCCESS",
    "BATCH_AUDIENCE_COMPUTE_FAILED",
    "BATCH_AUDIENCE_QUERY_READY",
    "BATCH_AUDIENCE_SYNC_FAILED",
    "REALTIME_AUDIENCE_COMPUTE_FAILED",
    "REALTIME_AUDIENCE_QUERY_READY",
]
CODES: Final[tuple[Code, ...]] = get_args(Code)
COMPUTED: Final[Code] = "BATCH_AUDIENCE_COMPUTE_SUCCESS"
NOT_COMPUTED: Final[Code] = "BATCH_AUDIENCE_COMPUTE_FAILED"
BATCH_READY: Final[Code] = "BATCH_AUDIENCE_QUERY_READY"
NOT_SYNCED: Final[Code] = "BATCH_AUDIENCE_SYNC_FAILED"
REALTIME_FAILED: Final[Code] = "REALTIME_AUDIENCE_COMPUTE_FAILED"
REALTIME_READY: Final[Code] = "REALTIME_AUDIENCE_QUERY_READY"


class NoticeKey(NamedTuple):
    """What there is one notice of."""

    project: str
    audience: str
    version: int | None
    """None: the notice is of a compute instant, whichever version was computed at it."""
    instant_ms: int | None
    """The compute instant; None: of a realtime audience, or there was none yet."""
    code: Code

    def __bytes__(self) -> bytes:
        """The key of records on the topic of notices."""
        version = "-" if self.version is None else self.version
        instant = "-" if self.instant_ms is None else self.instant_ms
        return f"{self.project}/{self.audience}/{version}/{instant}/{self.code}".encode()

    @property
    def id(self) -> str:
        """The same for every notice of this key."""
        return blake2b(bytes(self), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Notice:
    """One that is to be sent. ``at_ms``: when what it tells came about, by the wall clock."""

    key: NoticeKey
    audience_name: str
    version: int
    at_ms: int
    reason: str = ""

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Success before readiness, and the earlier before the later."""
        return self.at_ms, CODES.index(self.key.code), self.key.audience, str(self.key.instant_ms)


class NoticeBody(Struct, frozen=True):
    """What is sent, as JSON."""

    notice_id: Annotated[str, Meta(description="The same however often the notice is sent")]
    type_code: Code
    notify_id: str
    project: str
    audience_biz_id: str
    audience_biz_name: str
    audience_rule_type: Literal["BATCH_RULE", "REALTIME_RULE"]
    audience_version: int
    compute_time: Annotated[str | None, Meta(description="The compute instant of a batch audience")]
    notify_time: Annotated[str, Meta(description="When what it tells came about")]
    message: Annotated[str | None, Meta(description="Why it failed")]


_encode = msgspec.json.Encoder().encode


def body_of(notice: Notice, notify_id: str) -> bytes:
    key = notice.key
    return _encode(
        NoticeBody(
            key.id,
            key.code,
            notify_id,
            key.project,
            key.audience,
            notice.audience_name,
            "BATCH_RULE" if key.code.startswith("BATCH") else "REALTIME_RULE",
            notice.version,
            None if key.instant_ms is None else _instant(key.instant_ms),
            _instant(notice.at_ms),
            notice.reason or None,
        )
    )


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
