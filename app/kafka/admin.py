"""A connection to the brokers for one command, which says what is wrong when there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaConnectionError, KafkaError

from agents.deliver.errors import SinkMisconfigured
from agents.kafka.clients import client_options, new_admin
from agents.sinks.kafka.errors import TokensAway, opening_error
from app.failures import CommandFailed
from app.kafka.configured import broker_of
from app.settings.kafka import OAUTH, KafkaSettings
from app.settings.tree import Settings

CONNECT_SECONDS = 10.0
ASK_SECONDS = 5.0
"""How long it may take to find out why no broker could be asked."""


@asynccontextmanager
async def connected_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client of a broker that answers.

    Raises CommandFailed when none does, and in place of Kafka's errors of the whole ``async with``.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the messages below say it once
    bootstrap = settings.kafka.bootstrap
    admin = new_admin(broker_of(settings), request_timeout_ms=int(CONNECT_SECONDS * 1000))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await admin.start()
        yield admin
    except (KafkaConnectionError, TimeoutError) as error:
        raise await unreachable(settings, error) from None
    except KafkaError as error:
        raise CommandFailed(f"Kafka at {bootstrap} (kafka.bootstrap) said no: {error!r}") from None
    finally:
        await admin.close()


async def unreachable(settings: Settings, error: BaseException) -> CommandFailed:
    """Why no broker could be asked: none is there, it doesn't let us in, or it speaks otherwise.

    aiokafka says the same of all three, so the brokers are asked once more.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    kafka = settings.kafka
    text = f"Kafka can't be reached at {kafka.bootstrap} (kafka.bootstrap): "
    with suppress(TimeoutError):
        async with asyncio.timeout(ASK_SECONDS):
            found = await opening_error(client_options(broker_of(settings)), error, None)
            if isinstance(found, SinkMisconfigured | TokensAway):
                settings_of = ", ".join(f"kafka.{each}" for each in _that_secure(settings.kafka))
                return CommandFailed(f"{text}{found}. See {settings_of}")
            if await _listens(kafka.bootstrap):
                hint = f"as brokers do with kafka.security_protocol {kafka.security_protocol}"
                return CommandFailed(f"{text}something listens there, but doesn't answer {hint}")
    return CommandFailed(f"{text}no broker answers there")


def _that_secure(kafka: KafkaSettings) -> list[str]:
    """The settings that say whether the brokers let us in."""
    names = ["security_protocol"]
    if kafka.security_protocol.startswith("SASL"):
        uses_tokens = kafka.sasl_mechanism == "OAUTHBEARER"
        names += ["sasl_mechanism"]
        names += [*OAUTH, "oauth_scope"] if uses_tokens else ["sasl_username", "sasl_password"]
    if kafka.security_protocol.endswith("SSL"):
        names += ["ssl_cafile", "ssl_certfile"]
    return names


async def _listens(bootstrap: str) -> bool:
    """Whether a connection is taken at one of the addresses."""
    for host, port, _ in collect_hosts(bootstrap):
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
    return False
