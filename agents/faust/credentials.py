"""How the connections that Faust makes itself are secured: as all others (``agents.kafka.clients``)."""

from __future__ import annotations

import faust

from agents.kafka.clients import security_options
from agents.kafka.security import Security


def credentials(security: Security) -> faust.auth.Credentials | None:
    """None: connections are neither encrypted nor authenticated. Raises as ``security_options`` does."""
    options = security_options(security)
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return faust.auth.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if security.uses_sasl:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
