"""TLS contexts from files: what settings are checked with, and what listeners show."""

from __future__ import annotations

import ssl
from pathlib import Path


def serving_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What a listener with this certificate needs. Raises OSError and ssl.SSLError (which is one)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # Without a password OpenSSL would ask for one on the terminal.
    context.load_cert_chain(cert, key, password="")
    return context
