"""The command line ``turnstile``. Commands are in ``app.commands``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from app.commands import bench, deliver, demo, explain, lookup, serve, worker
from app.commands.authoring import check, connections, destinations, schema, simulate, test
from app.commands.authoring.audiences import group as audiences
from app.commands.operating import (
    audit,
    dlq,
    erase,
    identities,
    import_history,
    keys,
    push,
    settings,
    topics,
    topology,
)
from app.failures import FAILED, INTERRUPTED, message_for_users
from app.shown_bytes import safe_lines

cli = typer.Typer(
    name="turnstile",
    help="Real-time audience segmentation on streams.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.command("demo")(demo.demo)
cli.command("worker")(worker.worker)
cli.command("serve")(serve.serve)
cli.command("check")(check.check)
cli.command("schema")(schema.schema)
cli.command("simulate")(simulate.simulate)
cli.command("test")(test.run)
cli.command("import")(import_history.import_history)
cli.command("lookup")(lookup.lookup)
cli.command("explain")(explain.explain)
cli.add_typer(identities.cli, name="identities")
cli.add_typer(audiences.cli, name="audiences")
cli.add_typer(connections.cli, name="connections")
cli.add_typer(destinations.cli, name="destinations")
cli.add_typer(deliver.cli, name="deliver")
cli.add_typer(push.cli, name="push")
cli.add_typer(keys.cli, name="keys")
cli.command("audit")(audit.audit)
cli.command("erase")(erase.erase)
cli.add_typer(erase.cli, name="erasures")
cli.add_typer(dlq.cli, name="dlq")
cli.add_typer(topics.cli, name="topics")
cli.command("topology")(topology.topology)
cli.command("settings")(settings.settings)
cli.command("bench", context_settings=bench.TAKES_ANYTHING)(bench.bench)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"turnstile {version('turnstile-segmentation')}")
        except PackageNotFoundError:
            typer.echo("turnstile (run from its sources, not installed)")
        raise typer.Exit


@cli.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run(arguments: list[str] | None = None) -> None:
    """Run a command (default: the process's) and exit."""
    try:
        cli(arguments)
    except BrokenPipeError:
        # The reader has gone (`| head`); Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = message_for_users(error)
        if message is None:
            raise
        print(safe_lines(message), file=sys.stderr)
        sys.exit(FAILED)
