"""Options that several commands of ``turnstile audiences`` have."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Project: TypeAlias = Annotated[str, typer.Option(help="The project of the audiences.")]
Id: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="Id of an audience.", show_default=False)]
Ids: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids of audiences.", show_default=False)
]
NoWait: TypeAlias = Annotated[
    bool, typer.Option("--no-wait", help="Don't wait until all is ready; workers go on without it.")
]
Wait: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        help="Wait so long at most.",
        show_default="until all is ready",
    ),
]
