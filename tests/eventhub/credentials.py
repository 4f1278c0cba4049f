"""Who may send to the stand-in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, quote_plus

SAS = "servicebus.windows.net:sastoken"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may send: a shared access key, and a bearer token where Azure identity is tried."""

    key_name: str = "RootManageSharedAccessKey"
    key: str = "c3RhbmQtaW4tZm9yLXRlc3RzLW9ubHk="
    bearer: str = "stand-in-bearer-token"

    def allow(self, token: str, kind: str) -> bool:
        """Whether the token of a put-token is good: signature and expiry of a SAS, or the bearer itself."""
        if kind != SAS:
            return hmac.compare_digest(token.encode(), self.bearer.encode())
        parts = {name: values[0] for name, values in parse_qs(token.partition(" ")[2]).items()}
        if not {"sr", "sig", "se", "skn"} <= parts.keys():
            return False
        signed = f"{quote_plus(parts['sr'])}\n{parts['se']}".encode()
        good = base64.b64encode(hmac.new(self.key.encode(), signed, hashlib.sha256).digest()).decode()
        return (
            parts["skn"] == self.key_name
            and hmac.compare_digest(parts["sig"], good)
            and int(parts["se"]) > time.time()
        )
