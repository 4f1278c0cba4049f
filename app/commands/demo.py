"""``turnstile demo``: everything on one machine, with real data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer


def demo(
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS", min=0.001, help="Days of the log per second; by default 18 months take a minute."
        ),
    ] = None,
    full_speed: Annotated[bool, typer.Option("--max", help="As fast as it goes.")] = False,
    customers: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many of the 23,570 customers.", show_default=False),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE", formats=["%Y-%m-%d"], help="End the log before this day of 1997 or 1998."
        ),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Use this Kafka, with topics of the demo's own, deleted at its end."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port for HTTP; by default 6066 or the next free one."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of the live view.")] = False,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            help="Go on serving after the end of the log; by default on a terminal.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start a broker and a worker, feed them real sample data, and watch; Ctrl-C stops all."""
    # Before the imports, because they take seconds on a first start.
    typer.echo("loading the program")
    import asyncio

    from app.demo.options import DAYS_PER_SECOND, DemoOptions
    from app.demo.show import show

    if full_speed and speed is not None:
        raise typer.BadParameter("give --speed or --max, not both")
    asked = DemoOptions(
        days_per_second=None if full_speed else speed or DAYS_PER_SECOND,
        broker=broker,
        customers=customers,
        until=until.date() if until else None,
        plain=plain or None,
        keep=keep,
        port=port,
    )
    asyncio.run(show(asked))
