"""``turnstile worker``: a segmentation worker."""

from __future__ import annotations

from app.commands.options import SettingsFile


def worker(settings: SettingsFile = None) -> None:
    """Run a segmentation worker until SIGTERM or Ctrl-C."""
    import asyncio

    from aiokafka.errors import KafkaConnectionError

    from app.kafka.admin import unreachable
    from app.logs import configure_logs
    from app.settings.tree import load_settings
    from app.worker.process import run

    loaded = load_settings(settings)
    configure_logs(loaded.logs)
    try:
        asyncio.run(run(loaded))
    except KafkaConnectionError as error:
        raise asyncio.run(unreachable(loaded, error)) from None
