"""Which webhooks can be told of lists. A notification has a body of its own and fills nothing in, so a
webhook that leaves something open can't be one."""

from __future__ import annotations

from collections.abc import Iterator

from agents.connections.connection import WebhookTemplate
from agents.deliver.definitions.templates import names_in


def notification_problems(template: WebhookTemplate) -> Iterator[str]:
    """Why no notification can go there, all reasons. An address that is a secret isn't looked at."""
    webhook = template.webhook
    if webhook.method != "POST":
        yield f"a notification is a POST, and its webhook says {webhook.method}"
    if isinstance(webhook.url, str) and names_in(webhook.url):
        yield _open("url", webhook.url)
    if webhook.query:
        yield "a notification has no query, and its webhook has one"
    for name, text in webhook.headers.items():
        if isinstance(text, str) and names_in(text):
            yield _open(f"header {name}", text)


def _open(place: str, text: str) -> str:
    named = ", ".join(sorted(set(names_in(text))))
    return f"a notification fills in no variables, and the {place} of its webhook has {named}"
