"""``turnstile serve``: a reader, which answers lookups beside the workers."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.options import SettingsFile


def serve(
    settings: SettingsFile = None,
    number: Annotated[int | None, typer.Option("--number", hidden=True)] = None,
) -> None:
    """Follow the changelogs and answer lookups until SIGTERM or Ctrl-C; writes nothing to Kafka."""
    import asyncio

    from aiokafka.errors import KafkaConnectionError

    from app.kafka.admin import unreachable
    from app.logs import configure_logs
    from app.serve.process import new_loop, run, run_several
    from app.settings.tree import load_settings

    loaded = load_settings(settings)
    configure_logs(loaded.logs)
    if number is None and loaded.serve.processes > 1:
        code = asyncio.run(run_several(loaded))
        raise typer.Exit(code)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run(loaded, number or 0))
    except KafkaConnectionError as error:
        raise asyncio.run(unreachable(loaded, error)) from None
