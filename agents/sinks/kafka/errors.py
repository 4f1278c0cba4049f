"""What Kafka's errors mean for a delivery, and why a cluster lets nobody in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    RecordTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
    UnsupportedSaslMechanismError,
)

from agents.deliver.contract.outcomes import DELIVERED, Outcome, Rejected, Retry, Unknown
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable, Unsendable
from agents.kafka.tokens import NoToken
from agents.sinks.kafka.guard import BrokerRefused, KafkaGuard, guarded_create_conn

TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError, RecordListTooLargeError)
NOT_SUPPORTED = (UnsupportedForMessageFormatError, PolicyViolationError)
"""A cluster that keeps records in a format without headers, or whose policy forbids them."""
NEEDS_CHANGE = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    ssl.SSLError,
)
NEEDS_CHANGE_PAUSE_S = 60.0
_CONNECTION = (
    "client_id",
    "request_timeout_ms",
    "ssl_context",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_oauth_token_provider",
)


class TokensAway(SinkUnavailable):
    """It isn't the cluster that can't be reached, but the server that gives tokens for it."""


def outcome_of(result: object, guard: KafkaGuard | None = None, topic: str = "") -> Outcome:
    """Of one record's acknowledgement, or the error in its place. Raises what is no error of Kafka's.

    ``topic`` is where the record was to go.
    """
    if not isinstance(result, BaseException):
        return DELIVERED
    if isinstance(result, Unsendable):
        return Rejected(result.code, result.reason)
    if isinstance(result, TOO_LARGE):
        return Rejected("too_large", f"the record is larger than the topic takes: {result}")
    if isinstance(result, InvalidTopicError):
        return Rejected("invalid_topic", f"not a topic's name: {result}")
    if guard is not None and guard.refusal is not None:
        reason = str(guard.refusal)
        return Retry("address_not_allowed", reason, NEEDS_CHANGE_PAUSE_S, whole=True, needs_change=True)
    if isinstance(result, NOT_SUPPORTED):
        reason = f"the cluster doesn't take such records: {type(result).__name__}: {result}"
        return Retry("not_supported", reason, NEEDS_CHANGE_PAUSE_S, whole=True, needs_change=True)
    if isinstance(result, UnknownTopicOrPartitionError):
        reason = f"the topic '{topic}' does not exist: make it, or correct kafka.topic"
        return Retry("no_topic", reason, 10.0, whole=True, needs_change=True)
    if isinstance(result, TopicAuthorizationFailedError | ClusterAuthorizationFailedError):
        reason = f"may not write to the topic '{topic}': {result}"
        return Retry("not_authorized", reason, NEEDS_CHANGE_PAUSE_S, whole=True, needs_change=True)
    if isinstance(result, KafkaError):
        return Unknown("kafka", f"{type(result).__name__}: {result}", whole=True)
    raise result


def opening_outcome(error: SinkUnavailable | SinkMisconfigured) -> Retry:
    """For deliveries that came while the connection had to be made again."""
    if isinstance(error, SinkMisconfigured):
        return Retry("misconfigured", str(error), NEEDS_CHANGE_PAUSE_S, whole=True, needs_change=True)
    return Retry("unreachable", str(error), whole=True)


async def opening_error(
    options: Mapping[str, Any], error: BaseException, guard: KafkaGuard | None
) -> SinkUnavailable | SinkMisconfigured:
    """Why no client could be started. aiokafka logs that and says "unable to bootstrap", so ask once more."""
    if guard is not None and guard.refusal is not None:
        if isinstance(guard.refusal, BrokerRefused):
            return SinkMisconfigured(str(guard.refusal))
        return SinkUnavailable(f"address_not_allowed: {guard.refusal}", NEEDS_CHANGE_PAUSE_S)
    create = create_conn if guard is None else guarded_create_conn(guard)
    given = {name: options[name] for name in _CONNECTION if name in options}
    bootstrap = options["bootstrap_servers"]
    for host, port, _ in collect_hosts(bootstrap):
        try:
            connection = await create(host, port, **given)
        except NEEDS_CHANGE as refused:
            return SinkMisconfigured(f"{host}:{port} doesn't let us in: {refused}")
        except NoToken as away:
            return TokensAway(str(away))
        except (KafkaError, OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
        connection.close()
    return SinkUnavailable(f"no connection to {bootstrap}: {error!r}")
