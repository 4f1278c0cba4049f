"""What a module is told when its list is there: the place, counts, checksum, run; signed.

One request for each call, which the core repeats until it is taken. The body and ``webhook-id`` are the same
each time, because they are made of the manifest alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec
from standardwebhooks import Webhook as Signer
from yarl import URL

from agents.deliver.contract.outcomes import Delivered as Taken
from agents.deliver.contract.outcomes import Rejected
from agents.pushes.contract.target import TargetRefused, TargetUnavailable
from agents.pushes.targets.confirmation import confirmation_token
from agents.pushes.targets.manifest import Manifest, ManifestFile
from agents.pushes.targets.places import Mask, Receiver, no_mask
from agents.sinks.addresses.guard import guarded_sockets
from agents.sinks.webhook.errors import outcome_of
from agents.sinks.webhook.sink import judge

ANSWER_BYTES: Final = 2_000
"""Of an answer's body that are read as the reason."""


class Callback(msgspec.Struct, frozen=True):
    """How the module says that it has the list: POST the token there, as ``Authorization: Bearer``."""

    url: str
    token: str


class Notification(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body. ``place`` is the folder in which files, manifest and ``_SUCCESS`` lie."""

    type: str
    project: str
    push: str
    audience: str
    run_id: str
    list_id: str
    instant: str
    place: str
    files: tuple[ManifestFile, ...]
    urls: tuple[str, ...]
    rows: int
    rows_by_id: Mapping[str, int]
    callback: Callback | None = None


def notification_of(
    manifest: Manifest, folder: str, places: Sequence[str], receiver: Receiver
) -> Notification:
    """The same for the same list, whoever sends it."""
    callback = None
    if receiver.callback_url is not None and receiver.callback_secret is not None:
        token = confirmation_token(receiver.callback_secret, manifest.run_id, manifest.list_id)
        url = f"{receiver.callback_url}/{manifest.run_id}/{manifest.list_id}"
        callback = Callback(url, token)
    return Notification(
        type="push.delivered",
        project=manifest.project,
        push=manifest.push,
        audience=manifest.audience,
        run_id=manifest.run_id,
        list_id=manifest.list_id,
        instant=manifest.instant,
        place=folder,
        files=manifest.files,
        urls=tuple(places),
        rows=manifest.rows,
        rows_by_id={each.called: each.rows for each in manifest.ids},
        callback=callback,
    )


class Notifier:
    """Tells one receiver. ``mask`` takes its secrets out of reasons. Raises TargetRefused where the signing
    secret isn't one."""

    def __init__(self, receiver: Receiver, mask: Mask = no_mask) -> None:
        self._receiver = receiver
        self._mask = mask
        self._signer: Signer | None = None
        if receiver.signing_secret is not None:
            try:
                self._signer = Signer(receiver.signing_secret)
            except (ValueError, RuntimeError):
                raise TargetRefused(
                    "the signing secret of the notification isn't whsec_ and base64"
                ) from None

    async def tell(self, manifest: Manifest, folder: str, places: Sequence[str]) -> None:
        """One request. Raises TargetUnavailable: again; TargetRefused: the receiver won't take it."""
        receiver = self._receiver
        body = msgspec.json.encode(notification_of(manifest, folder, places, receiver))
        connector = aiohttp.TCPConnector(limit=1, socket_factory=guarded_sockets(receiver.allow_private))
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=receiver.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session:
            try:
                async with session.post(
                    URL(receiver.url, encoded=True),
                    data=body,
                    headers=self._headers(manifest.list_id, body),
                    allow_redirects=False,
                ) as answer:
                    text = (await answer.content.read(ANSWER_BYTES)).decode("utf-8", "replace")
                    outcome = judge(answer.status, answer.headers, text)
            except (aiohttp.ClientError, OSError) as error:
                outcome = outcome_of(error, int(receiver.timeout_s * 1000))
        if isinstance(outcome, Taken):
            return
        reason = self._mask(f"the list is there, its receiver isn't told: {outcome.code}: {outcome.reason}")
        if isinstance(outcome, Rejected):
            raise TargetRefused(reason)
        raise TargetUnavailable(reason, outcome.retry_after_s)

    def _headers(self, message: str, body: bytes) -> dict[str, str]:
        sent_s = int(time.time())
        headers = {
            **self._receiver.headers,
            "content-type": "application/json",
            "user-agent": "turnstile",
            "webhook-id": message,
            "webhook-timestamp": str(sent_s),
        }
        if self._signer is not None:
            at = datetime.fromtimestamp(sent_s, UTC)
            headers["webhook-signature"] = self._signer.sign(message, at, body.decode())
        return headers
