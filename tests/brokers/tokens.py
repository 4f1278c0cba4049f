"""A server of tokens for OAUTHBEARER, by client credentials: signed as real ones are (RS256, RFC 7519)."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from app.kafka.embedded import free_ports

CLIENT_ID = "turnstile worker"
CLIENT_SECRET = "cl13nt/secret+of:the=client"


class TokenServer:
    """Gives tokens to who has the secret. ``keys`` is the file by which a broker checks them."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.audience = "kafka"
        """Of the tokens that are given from now on."""
        self.life_seconds = 3600
        self.given: list[str] = []
        self.status = 200
        """Otherwise it answers that, and a page."""
        self.forms: list[dict[str, Any]] = []
        self.url = ""
        self.keys = folder / "keys.json"
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1"}
        key |= {"n": _number(numbers.n), "e": _number(numbers.e)}
        self.keys.write_text(json.dumps({"keys": [key]}))

    async def answer(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status, text="<html>away</html>")
        self.forms.append(dict(await request.post()))
        login = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        given = [unquote_plus(each) for each in login.split(":")]
        if given != [CLIENT_ID, CLIENT_SECRET]:
            told = {"error": "invalid_client", "error_description": "no such client"}
            return web.json_response(told, status=401)
        token = self._token()
        self.given.append(token)
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.life_seconds}
        )

    def _token(self) -> str:
        now = int(time.time())
        claims = {"sub": "turnstile", "aud": self.audience, "scope": "kafka", "jti": str(len(self.given))}
        claims |= {"iat": now, "exp": now + self.life_seconds}
        head = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        signed = ".".join(_text(json.dumps(each).encode()) for each in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(signature)}"


@asynccontextmanager
async def token_server(
    folder: Path, certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[TokenServer]:
    """With ``certificate`` (files of it and of its key) it speaks TLS."""
    made, context = TokenServer(folder), None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    app = web.Application()
    app.router.add_post("/token", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    made.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/token"
    try:
        yield made
    finally:
        await runner.cleanup()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
