"""A connection to the brokers for one command, which says what is wrong when there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from app.failures import CommandFailed, unreachable
from app.kafka import broker_of
from app.settings import Settings

CONNECT_SECONDS = 10.0


@asynccontextmanager
async def connected_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client of a broker that answers.

    Raises CommandFailed when none does, and in place of Kafka's errors of the whole ``async with``.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the messages below say it once
    bootstrap = settings.kafka.bootstrap
    options = broker_of(settings).client_options()
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=int(CONNECT_SECONDS * 1000))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await admin.start()
        yield admin
    except (KafkaConnectionError, TimeoutError):
        raise unreachable(bootstrap) from None
    except KafkaError as error:
        raise CommandFailed(f"Kafka at {bootstrap} (kafka.bootstrap) said no: {error!r}") from None
    finally:
        await admin.close()
