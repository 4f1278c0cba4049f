"""API keys: who may use an HTTP interface."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from app.http_settings import ApiKey


def is_allowed(keys: Sequence[ApiKey], given: str, scope: str) -> bool:
    """Whether a key given in the header ``api-key`` is good for a scope; without any keys everything is."""
    if not keys:
        return True
    digest = hashlib.sha256(given.encode()).hexdigest()
    allowed = False
    for key in keys:  # every key is compared, so that time tells nothing
        same = hmac.compare_digest(digest, key.sha256)
        allowed = allowed or (same and (scope in key.scopes or "admin" in key.scopes))
    return allowed
