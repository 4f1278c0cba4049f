"""The token by which a module confirms that it has a list.

That a list lies in a store says nothing of whether its reader fetched it. So a run that was delivered is
``delivered`` until the module confirms it, and ``confirmed`` from then on.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_PURPOSE: Final = b"turnstile push confirmation v1"


def confirmation_token(secret: str, run_id: str, list_id: str) -> str:
    """What the module sends back. It says nothing without the secret, and is good for this list alone."""
    message = b"\0".join([_PURPOSE, run_id.encode(), list_id.encode()])
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def is_confirmation(secret: str, run_id: str, list_id: str, token: str) -> bool:
    """Whether a token is the one of this list; takes as long for a wrong one as for the right one."""
    expected = confirmation_token(secret, run_id, list_id)
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))
