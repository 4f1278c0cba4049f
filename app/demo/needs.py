"""What the demo needs before anything runs: definitions, settings, a port."""

from __future__ import annotations

import contextlib
import socket
import uuid
from importlib.resources import files
from pathlib import Path

from pydantic import ByteSize, ValidationError

from app.failures import CommandFailed
from app.settings.http import HttpSettings
from app.settings.kafka import KafkaSettings
from app.settings.tree import (
    MIB,
    CacheSettings,
    ClockSettings,
    Settings,
    TopicsSettings,
    load_settings,
)
from app.settings.worker import WorkerSettings
from rules.model.language import Audience
from rules.parse.definitions import load_definitions

PARTITIONS = 4
CACHE = ByteSize(64 * MIB)
HTTP_PORT = 6066
PORTS_TRIED = 20


def demo_settings(kafka: KafkaSettings, port: int, folder: Path, *, is_own: bool) -> Settings:
    """The worker's settings; on the user's own Kafka with names that nothing else has."""
    name = f"turnstile-demo-{uuid.uuid4().hex[:6]}" if is_own else "turnstile-demo"
    return Settings(
        kafka=kafka,
        topics=TopicsSettings(prefix=name, partitions=PARTITIONS, create=True),
        worker=WorkerSettings(app_id=name, data_dir=folder / "rows"),
        clock=ClockSettings(grace_ms=0),
        cache=CacheSettings(block_bytes=CACHE, write_buffer_bytes=CACHE),
        http=HttpSettings(port=port),
    )


def embedded_kafka(bootstrap: str) -> KafkaSettings:
    """For the embedded broker, where joining a group takes half of the session timeout."""
    return KafkaSettings(
        bootstrap=bootstrap,
        session_timeout_ms=4_000,
        rebalance_timeout_ms=4_000,
        heartbeat_interval_ms=1_000,
        idempotence=False,  # it refuses idempotent producers
    )


def load_audiences() -> list[Audience]:
    """The demo's definitions, in the order of their files' names."""
    folder = files("app.demo").joinpath("audiences")
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".yaml")), key=lambda e: e.name)
    return load_definitions((each.name, each.read_text("utf-8")) for each in found)


def own_kafka(bootstrap: str) -> KafkaSettings:
    """The user's Kafka: as the settings say, at another address."""
    kafka = load_settings().kafka
    try:
        return KafkaSettings.model_validate({**dict(kafka), "bootstrap": bootstrap})
    except ValidationError:
        raise CommandFailed(f"--broker: must be host:port, got {bootstrap!r}") from None


def free_port(wanted: int | None) -> int:
    """The port for HTTP. Raises CommandFailed when the one that was asked for is taken."""
    candidates = range(HTTP_PORT, HTTP_PORT + PORTS_TRIED) if wanted is None else [wanted]
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    if wanted is not None:
        raise CommandFailed(f"--port: {wanted} on 127.0.0.1 can't be used; another program may have it")
    raise CommandFailed(
        f"no free port from {HTTP_PORT} to {HTTP_PORT + PORTS_TRIED - 1}; give one with --port"
    )
