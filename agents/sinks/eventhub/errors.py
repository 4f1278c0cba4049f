"""What the SDK's exceptions mean for a delivery."""

from __future__ import annotations

from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.eventhub.exceptions import AuthenticationError, EventHubError, OperationTimeoutError

from agents.deliver.contract.delivery import Delivery
from agents.deliver.contract.outcomes import Rejected, Retry, Unknown
from agents.deliver.errors import SinkMisconfigured, SinkUnavailable
from agents.deliver.secrets.secrets import Secrets

BUSY_SECONDS = 4.0
"""What the service asks for after ``server-busy``."""
MISCONFIGURED_SECONDS = 60.0
"""Rights and hubs don't come back by asking often; but the first refusal may be a passing one."""

SDK_ERRORS = (EventHubError, AzureError, OSError, SinkMisconfigured, SinkUnavailable)
"""What making a client and sending with it raise, apart from bugs.

Not ValueError: where the SDK raises it is told apart. ``refusal_of`` refuses before what it would raise it
for, of a message; a connection string that it can't read is SinkMisconfigured.
"""
LONGEST_KEY = 128
"""Characters of a partition key; the service refuses longer ones, and with them all of the publication."""

_UNAUTHORIZED = {"unauthorized-access", "not-allowed"}
_MISSING = {"not-found", "resource-deleted"}
_THROTTLED = {"server-busy", "resource-limit-exceeded"}
_LONGEST_REASON = 300


def outcome_of(error: Exception, secrets: Secrets, refused_s: float = 0.0) -> Retry | Unknown:
    """All lanes wait when the hub throttles or needs a change; otherwise only the lane that failed.

    ``refused_s``: for how long something needs a change by now. The pauses grow with it.
    """
    text = reason(error, secrets)
    condition = _condition(error)
    if needs_change(error):
        code = "hub_missing" if condition in _MISSING else "unauthorized"
        pause_s = min(MISCONFIGURED_SECONDS, max(BUSY_SECONDS, refused_s))
        return Retry(code, text, pause_s, whole=True, needs_change=True)
    if condition in _THROTTLED:
        return Retry(condition.replace("-", "_"), text, BUSY_SECONDS, whole=True)
    # The SDK has sent it twice by then; the first time may have been stored.
    code = "timeout" if isinstance(error, OperationTimeoutError) else "connection"
    return Unknown(code, text, whole=True)


def refusal_of(delivery: Delivery, by_key: bool) -> Rejected | None:
    """Why a message can never be sent, whatever becomes of the hub; None: it can, if it isn't too large."""
    try:
        for text in (delivery.id, delivery.id_sent, delivery.user_id):
            text.encode()
    except UnicodeEncodeError:
        return Rejected("invalid_text", "a property would have half a surrogate pair in it")
    if by_key and len(delivery.user_id) > LONGEST_KEY:
        size = len(delivery.user_id)
        reason = f"a user id of {size} characters can't be a partition key ({LONGEST_KEY} at most)"
        return Rejected("invalid_key", reason)
    return None


def is_lost_connection(error: Exception) -> bool:
    """The link or the connection was closed, for no reason that lies in the publication."""
    condition = _condition(error)
    return condition == "socket-error" or condition.endswith(":forced") or condition == "link:detach-forced"


def is_too_large(error: Exception) -> bool:
    """The hub found a publication larger than it allows."""
    return _condition(error).endswith("message-size-exceeded")


def needs_change(error: Exception) -> bool:
    """Of a secret, of rights, or of the hub: nothing that passes by itself."""
    return (
        isinstance(error, (AuthenticationError, ClientAuthenticationError, SinkMisconfigured))
        or _condition(error) in _UNAUTHORIZED
        or _condition(error) in _MISSING
    )


def opening_error(error: Exception, secrets: Secrets) -> SinkMisconfigured | SinkUnavailable:
    """What ``open`` raises for it."""
    text = reason(error, secrets)
    if needs_change(error):
        return SinkMisconfigured(text)
    return SinkUnavailable(text, BUSY_SECONDS if _condition(error) in _THROTTLED else None)


def reason(error: Exception, secrets: Secrets) -> str:
    """Its text in one line, without secrets, not longer than a person reads."""
    text = "; ".join(dict.fromkeys(line.strip() for line in str(error).splitlines() if line.strip()))
    text = secrets.masked(text or type(error).__name__)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _condition(error: Exception) -> str:
    """The AMQP error condition without its namespace; empty where there is none."""
    return (error.error or "") if isinstance(error, EventHubError) else ""
