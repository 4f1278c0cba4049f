"""Options that several benchmarks have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

Broker: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="A running Kafka; without it Apache Kafka is started (Java, Maven), or the embedded broker.",
    ),
]
Json: TypeAlias = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results there, too.")
]
Folder: TypeAlias = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Where data goes while it runs [default: the system's]"),
]
Engine: TypeAlias = Annotated[
    Literal["auto", "native", "python"] | None,
    typer.Option(help="What computes in the worker, as in worker.engine [default: that setting's]"),
]
Users: TypeAlias = Annotated[int, typer.Option(min=1, help="Different users, zipf-like.")]
Partitions: TypeAlias = Annotated[int, typer.Option(min=1, help="Partitions of the topics.")]


def engine_settings(engine: Engine) -> dict[str, str]:
    """For the environment of a worker."""
    return {} if engine is None else {"TURNSTILE_WORKER__ENGINE": engine}
