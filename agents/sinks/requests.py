"""What a webhook's request looks like, made from deliveries without sending it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from standardwebhooks import Webhook as Signer

from agents.deliver.bodies import digest_of, encode
from agents.deliver.destination import Webhook
from agents.deliver.errors import SinkMisconfigured
from agents.deliver.secrets import Secrets
from agents.deliver.sink import Delivery
from agents.deliver.templates import Values, fill_json, fill_text, values_of

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Request(msgspec.Struct, frozen=True):
    """One HTTP request, complete."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class RequestMaker:
    """Makes requests of one webhook. Looks its secrets up when made. Raises SinkMisconfigured."""

    def __init__(self, webhook: Webhook, secrets: Secrets) -> None:
        self._webhook = webhook
        self._url = secrets.text(webhook.url)
        self._headers = {name: secrets.text(each) for name, each in webhook.headers.items()}
        self._query = {name: secrets.text(each) for name, each in webhook.query.items()}
        self._form = (
            None
            if webhook.form is None
            else {name: secrets.text(each) for name, each in webhook.form.items()}
        )
        self._has_body = webhook.method not in ("GET", "DELETE")
        self._given = {name.lower() for name in self._headers}
        self._signer: Signer | None = None
        if not self._url.startswith(("https://", "http://")):
            raise SinkMisconfigured("webhook.url doesn't start with https:// or http://")
        if webhook.signing_secret is not None:
            try:
                self._signer = Signer(secrets.get(webhook.signing_secret))
            except (ValueError, RuntimeError):
                raise SinkMisconfigured("webhook.signing_secret isn't whsec_ and base64") from None

    def request(self, batch: Sequence[Delivery]) -> Request:
        """The request for one delivery, or for several where the receiver takes batches."""
        values = values_of(batch[0], self._webhook.variables)
        body, content_type = self._body(batch, values)
        message = batch[0].id if len(batch) == 1 else digest_of([each.id for each in batch])
        headers = {
            name: _header(fill_text(each, values)) if len(batch) == 1 else each
            for name, each in self._headers.items()
        }
        headers["webhook-id"] = message
        sent_s = int(time.time())
        headers["webhook-timestamp"] = str(sent_s)
        if self._signer is not None:
            at = datetime.fromtimestamp(sent_s, UTC)
            signed = (body or b"").decode("utf-8", "replace")
            headers["webhook-signature"] = self._signer.sign(message, at, signed)
        if content_type is not None and "content-type" not in self._given:
            headers["content-type"] = content_type
        if "user-agent" not in self._given:
            headers["user-agent"] = "turnstile"
        return Request(self._webhook.method, self._full_url(values), headers, body)

    def _full_url(self, values: Values) -> str:
        url = fill_text(self._url, values, lambda text: quote(text, safe=""))
        if not self._query:
            return url
        query = urlencode({name: fill_text(each, values) for name, each in self._query.items()})
        return f"{url}{'&' if '?' in url else '?'}{query}"

    def _body(self, batch: Sequence[Delivery], values: Values) -> tuple[bytes | None, str | None]:
        if not self._has_body:
            return None, None
        if self._form is not None:
            filled = {name: fill_text(each, values) for name, each in self._form.items()}
            return urlencode(filled).encode(), FORM
        if self._webhook.batch == 1:
            return self._one(batch[0]), JSON
        return b"[" + b",".join(map(self._one, batch)) + b"]", JSON

    def _one(self, delivery: Delivery) -> bytes:
        if self._webhook.json is None:
            return delivery.body
        values = values_of(delivery, self._webhook.variables)
        return encode(fill_json(self._webhook.json, values))


def _header(value: str) -> str:
    """A value without what would begin another header."""
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")


def shown(request: Request) -> dict[str, Any]:
    """The request for people; secrets are masked by the caller."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "body": None if request.body is None else request.body.decode("utf-8", "replace"),
    }
