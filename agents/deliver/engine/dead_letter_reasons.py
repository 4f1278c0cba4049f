"""Every reason for which a destination gives a transition up: the codes of ``error.code``.

docs/contracts.md has them as a table, and AsyncAPI as values. A test holds them against the places in the
code that give codes, both ways.
"""

from __future__ import annotations

from typing import Final

from agents.evaluate.dead_letter_reasons import Reason

_ITS_VALUE = "correct the source of the value"
_LOST_HALF = "half a surrogate pair"

OF_DESTINATIONS: Final = (
    Reason(
        "http_<status>",
        ("deliver",),
        "was answered with this status, which says that it will never be taken (`http_400`, `http_301`)",
        "see `error.message`; replay once the receiver takes it",
    ),
    Reason(
        "unsafe_path",
        ("deliver",),
        "has a value that could lead the request to another path",
        "put the variable into the query, a header or the body",
    ),
    Reason(
        "invalid_header",
        ("deliver",),
        f"would put a control character, or {_LOST_HALF}, into a header",
        "put the variable into the body",
    ),
    Reason("invalid_url", ("deliver",), f"would put {_LOST_HALF} into the URL, or makes no URL", _ITS_VALUE),
    Reason("invalid_text", ("deliver",), f"has {_LOST_HALF} in a value that is to be sent", _ITS_VALUE),
    Reason(
        "too_large",
        ("deliver",),
        "is larger than the topic or the event hub takes",
        "raise its limit, or send less (`fields`, `json`)",
    ),
    Reason(
        "invalid_topic", ("deliver",), "has an audience id that makes no name of a topic", "another `topic`"
    ),
    Reason(
        "own_topic",
        ("deliver",),
        "has an audience id that makes the name of a topic of Turnstile's own",
        "another `topic`",
    ),
    Reason(
        "invalid_key",
        ("deliver",),
        "has a user id of more than 128 characters, which can't be a partition key",
        "`partitioning: lanes`",
    ),
    Reason(
        "no_identity",
        ("deliver",),
        "is of a user who lacks the identity that is to be sent",
        "replay when it is known",
    ),
    Reason(
        "gave_up",
        ("deliver",),
        "was tried for as long as `retry.for` says",
        "replay when the destination is well",
    ),
    Reason(
        "in_the_way",
        ("deliver",),
        "failed alone five times while others passed, and all behind it had to wait",
        "replay when the destination is well",
    ),
    Reason(
        "unreadable",
        ("deliver",),
        "on the transitions topic is not a transition",
        "see who writes to the transitions topic",
    ),
)
"""On ``<prefix>.deliver.<destination>.dlq``."""
