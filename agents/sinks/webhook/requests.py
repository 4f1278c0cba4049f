"""What a webhook's request looks like, made from deliveries without sending it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from standardwebhooks import Webhook as Signer

from agents.deliver.content.bodies import digest_of, encode
from agents.deliver.content.variables import values_of
from agents.deliver.contract.delivery import Delivery
from agents.deliver.definitions.destination import Secret, Text, Webhook
from agents.deliver.definitions.headers import CONTROL
from agents.deliver.definitions.templates import BUILT_IN, Values, fill_json, fill_text, names_in
from agents.deliver.definitions.urls import UrlTemplate, UrlWrong, encoded
from agents.deliver.errors import SinkMisconfigured, Unsendable
from agents.deliver.secrets.masking import SHORTEST
from agents.deliver.secrets.secrets import Secrets

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_FOLDED = str.maketrans("\r\n\0", "   ")
"""What RFC 9110 (section 5.5) has spaces for in a header's value."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP request, complete."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    """What deliveries must have in common to go in one request."""

    url: str
    headers: tuple[tuple[str, str], ...]


class _Template(NamedTuple):
    """A text of the definition; ``is_open`` where it may hold variables, which a secret never does."""

    text: str
    is_open: bool


class RequestMaker:
    """Makes requests of one webhook. Looks its secrets up when made. Raises SinkMisconfigured."""

    def __init__(self, webhook: Webhook, secrets: Secrets) -> None:
        self._webhook = webhook
        self._secrets = secrets
        texts = [webhook.url, *webhook.headers.values(), *webhook.query.values()]
        texts += [*(webhook.form or {}).values(), webhook.signing_secret or ""]
        self._used = [each for each in texts if isinstance(each, Secret)]
        # Before they are looked up: what changes meanwhile is looked up again.
        self._stamp = secrets.stamp(self._used)
        self._url = self._address(webhook.url)
        self.endpoint = self._url.endpoint
        self._headers = {name: self._header_of(name, each) for name, each in webhook.headers.items()}
        self._query = {name: self._template(each) for name, each in webhook.query.items()}
        self._form = (
            None
            if webhook.form is None
            else {name: self._template(each) for name, each in webhook.form.items()}
        )
        self._has_body = webhook.method not in ("GET", "DELETE")
        self._given = {name.lower() for name in self._headers}
        self._signer: Signer | None = None
        if webhook.signing_secret is not None:
            key = secrets.get(webhook.signing_secret, [self.endpoint])
            try:
                self._signer = Signer(key)
            except (ValueError, RuntimeError):
                raise SinkMisconfigured("webhook.signing_secret isn't whsec_ and base64") from None
        templates = [*self._headers.values(), *self._query.values()]
        varies = self._url.names or any(map(_varies, templates))
        self._fixed = None if varies else self._head(lambda _: None)

    @property
    def url_names(self) -> list[str]:
        """The variables in the address, which may be a secret."""
        return self._url.names

    @property
    def is_current(self) -> bool:
        """Whether no file with a secret has changed since."""
        return self._secrets.stamp(self._used) == self._stamp

    def head(self, delivery: Delivery) -> Head:
        """The address and the headers for a delivery. Raises Unsendable."""
        return self._fixed or self._head(values_of(delivery, self._webhook.variables))

    def body(self, delivery: Delivery) -> bytes:
        """What a delivery is in a request's body. Raises Unsendable."""
        if not self._has_body:
            return b""
        try:
            if self._form is not None:
                values = values_of(delivery, self._webhook.variables)
                return urlencode({name: _fill(each, values) for name, each in self._form.items()}).encode()
            if self._webhook.json is None:
                return delivery.body
            return encode(fill_json(self._webhook.json, values_of(delivery, self._webhook.variables)))
        except UnicodeEncodeError:
            raise Unsendable("invalid_text", "the body would have half a surrogate pair in it") from None

    def request(self, head: Head, batch: Sequence[Delivery], bodies: Sequence[bytes]) -> Request:
        """The request for one delivery, or for several where the receiver takes batches."""
        message = batch[0].id if len(batch) == 1 else digest_of([each.id for each in batch])
        headers = dict(head.headers)
        headers["webhook-id"] = message
        sent_s = int(time.time())
        headers["webhook-timestamp"] = str(sent_s)
        body: bytes | None = None
        content_type = None
        if self._has_body:
            body = bodies[0] if self._webhook.batch == 1 else b"[" + b",".join(bodies) + b"]"
            content_type = JSON if self._form is None else FORM
        if self._signer is not None:
            at = datetime.fromtimestamp(sent_s, UTC)
            signed = (body or b"").decode("utf-8", "replace")
            headers["webhook-signature"] = self._signer.sign(message, at, signed)
        if content_type is not None and "content-type" not in self._given:
            headers["content-type"] = content_type
        if "user-agent" not in self._given:
            headers["user-agent"] = "turnstile"
        return Request(self._webhook.method, head.url, headers, body)

    def probe(self) -> Request:
        """A ``HEAD`` that sends nothing: with what holds no variable, and to the root where the path does."""
        headers = {name: each.text for name, each in self._headers.items() if not _varies(each)}
        headers.setdefault("user-agent", "turnstile")
        if self._url.names:
            return Request("HEAD", f"{self._url.origin}/", headers, None)
        url = self._url.fill(lambda _: None)
        fixed = {name: each.text for name, each in self._query.items() if not _varies(each)}
        query = "&".join(f"{encoded(name)}={encoded(text)}" for name, text in fixed.items())
        if query:
            url += ("?" if self._url.query is None else "&") + query
        return Request("HEAD", url, headers, None)

    # -- parts of the definition ---------------------------------------------------------------------

    def _address(self, text: Text) -> UrlTemplate:
        try:
            if not isinstance(text, Secret):
                return UrlTemplate.parse(text)
            url = UrlTemplate.parse(
                self._secrets.get_for(text, lambda url: [UrlTemplate.parse(url).endpoint])
            )
        except UrlWrong as error:
            raise SinkMisconfigured(f"webhook.url: {error}") from None
        known = (*self._webhook.variables, *BUILT_IN)
        unknown = sorted(set(url.names).difference(known))
        if unknown:
            raise SinkMisconfigured(f"webhook.url: there is no variable {', '.join(unknown)}")
        # Receivers and their errors name the path without the host.
        for part in ("/".join(url.segments), *url.segments, *(url.query or "").replace("=", "&").split("&")):
            if len(part) >= SHORTEST and "$" not in part:
                self._secrets.hide(part)
        return url

    def _template(self, text: Text) -> _Template:
        if not isinstance(text, Secret):
            return _Template(text, True)
        return _Template(self._secrets.get(text, [self.endpoint]), False)

    def _header_of(self, name: str, text: Text) -> _Template:
        made = self._template(text)
        if not made.is_open and CONTROL.search(made.text):
            raise SinkMisconfigured(f"the secret for the header {name} has a control character or a line end")
        return made

    def _head(self, values: Values) -> Head:
        """Raises Unsendable."""
        headers = tuple((name, _header(name, _fill(each, values))) for name, each in self._headers.items())
        url = self._url.fill(values)
        if self._query:
            try:
                query = "&".join(
                    f"{encoded(name)}={encoded(_fill(each, values))}" for name, each in self._query.items()
                )
            except UnicodeEncodeError:
                raise Unsendable("invalid_url", "a value for the query has half a surrogate pair") from None
            url += "?" + query if self._url.query is None else "&" + query
        return Head(url, headers)


def _varies(template: _Template) -> bool:
    return template.is_open and bool(names_in(template.text))


def _fill(template: _Template, values: Values) -> str:
    return fill_text(template.text, values) if template.is_open else template.text


def _header(name: str, value: str) -> str:
    """A value without what would begin another header. Raises Unsendable."""
    folded = value.translate(_FOLDED)
    wrong = CONTROL.search(folded)
    if wrong is not None:
        raise Unsendable(
            "invalid_header", f"the header {name} can't hold the character U+{ord(wrong[0]):04X}"
        )
    try:
        folded.encode()  # as it is sent
    except UnicodeEncodeError:
        raise Unsendable("invalid_header", f"the header {name} would have half a surrogate pair") from None
    return folded


def shown(request: Request) -> dict[str, Any]:
    """The request for people; secrets are masked by the caller."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "body": None if request.body is None else request.body.decode("utf-8", "replace"),
    }
