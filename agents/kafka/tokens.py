"""Tokens for OAUTHBEARER, by client credentials (RFC 6749, section 4.4).

A token is used again until 80 % of its life are over, as Kafka's own clients do
(``sasl.login.refresh.window.factor``). What is refused is told without the secret and without the token.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote_plus

import msgspec
from aiokafka import conn
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import OAuthAuthenticator
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from agents.kafka.security import OAuth

ASK_SECONDS: Final = 10.0
LIFE_USED: Final = 0.8
ANSWER_BYTES: Final = 1 << 20
SHOWN: Final = 300
"""Characters of what the other side says that come into a message."""


class NoToken(KafkaConnectionError):  # type: ignore[misc]
    """The server of tokens doesn't answer, or can't now: another try may help."""


class _Answer(msgspec.Struct):
    """RFC 6749, section 5.1."""

    access_token: str
    expires_in: float = 0.0
    """Seconds; 0: not said, so that the token isn't kept."""


class _Refusal(msgspec.Struct):
    """RFC 6749, section 5.2."""

    error: str = ""
    error_description: str = ""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Gives aiokafka a token for each connection; asks the server only when it has no fresh one."""

    def __init__(self, oauth: OAuth, seconds: Callable[[], float] = time.monotonic) -> None:
        self._oauth = oauth
        self._seconds = seconds
        self._token = ""
        self._fresh_until = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Raises AuthenticationFailedError when the server refuses, NoToken when it is away."""
        async with self._asking:
            if self._seconds() >= self._fresh_until:
                asked_at = self._seconds()
                answer = await self._ask()
                self._token = answer.access_token
                self._fresh_until = asked_at + LIFE_USED * answer.expires_in
            return self._token

    async def _ask(self) -> _Answer:
        from aiohttp import ClientError, ClientSession, ClientTimeout, encode_basic_auth

        oauth = self._oauth
        form = {"grant_type": "client_credentials", **({"scope": oauth.scope} if oauth.scope else {})}
        # Section 2.3.1 has both encoded before they are put together.
        login = encode_basic_auth(quote_plus(oauth.client_id), quote_plus(oauth.client_secret))
        try:
            context: Any = True if oauth.cafile is None else ssl.create_default_context(cafile=oauth.cafile)
            async with (
                ClientSession(timeout=ClientTimeout(total=ASK_SECONDS)) as session,
                session.post(
                    oauth.token_url,
                    data=form,
                    headers={"Authorization": login},
                    ssl=context,
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(ANSWER_BYTES)
                status = answer.status
        except (ClientError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise NoToken(f"no token from {oauth.token_url}: {reason}") from None
        if status >= 500 or status == 429:
            raise NoToken(f"no token from {oauth.token_url}: it answers {status}")
        if status != 200:
            raise AuthenticationFailedError(
                f"{oauth.token_url} gives no token: it answers {status}{_why(body)}"
            )
        try:
            return msgspec.json.decode(body, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise AuthenticationFailedError(
                f"{oauth.token_url} gives no token: its answer has no access_token"
            ) from None


def _why(body: bytes) -> str:
    """What a refusal says, in the form of the RFC; other text isn't repeated."""
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    text = ": ".join(each for each in (told.error, told.error_description) if each)
    return f", {text[:SHOWN]!r}" if text else ""


class _Authenticator(OAuthAuthenticator):  # type: ignore[misc]
    """aiokafka takes every answer for a yes. A broker that refuses a token answers with JSON that says why
    (RFC 7628, section 3.2.2), and ends the connection at the next request."""

    async def step(self, payload: bytes | None) -> Any:
        if self._token_sent and payload:
            raise AuthenticationFailedError(f"the token is refused: {payload[:SHOWN]!r}")
        return await super().step(payload)


def tell_refused_tokens() -> None:
    """From now on a token that a broker refuses is an error of that connection."""
    conn.OAuthAuthenticator = _Authenticator
