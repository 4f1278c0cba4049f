"""``turnstile bench``: the commands. What each measures is in docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Annotated

import typer

from bench.engine.many_users_command import scale
from bench.engine.members_command import members
from bench.engine.rules_command import rules
from bench.estimate.command import estimate
from bench.lookup.lookup_command import lookup
from bench.options import Broker, Engine, Folder, Json, Partitions, Users, engine_settings
from bench.push.push_command import push
from bench.running import reporting, running
from bench.worker.backfill_command import backfill
from bench.worker.failover_command import failover

app = typer.Typer(
    name="bench",
    help="Benchmarks: each starts what it needs, checks what came out, and leaves nothing behind.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def throughput(
    events: Annotated[int, typer.Option(min=1, help="Events in the log.")] = 1_000_000,
    stock_events: Annotated[
        int, typer.Option(min=1, help="How many of them stock Faust gets; it is slow.")
    ] = 100_000,
    users: Users = 200_000,
    partitions: Partitions = 8,
    repeat: Annotated[
        int, typer.Option(min=1, help="Runs of each kind, taking turns; medians are shown.")
    ] = 1,
    only: Annotated[
        str | None,
        typer.Option(
            help="Which kinds: ceiling, stock, ours, per_core, native, python, twin, twin_at_least_once "
            "[default: the first four; with --peers native, python, twin]"
        ),
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="The worker with each engine beside a Kafka Streams program.")
    ] = False,
    engine: Engine = None,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Events per second of a worker with all guarantees, beside stock Faust and plain consuming.

    One log on one broker for all: (a) ceiling: aiokafka and msgspec consume and decode; (b) stock: a plain
    Faust agent with a RocksDB table and the same rules; (c) ours: `turnstile worker` with changelog,
    transitions and commits; (d) per_core: a worker process for each of the machine's cores. From the first
    applied record (of each worker) to the last committed offset. The transitions must be exactly those of the
    pure pipeline, otherwise the run fails.

    With --peers: a worker with each engine, and a Kafka Streams program with the same rules in Java (exactly
    once, commits every second, one thread), in one table with their ratios.
    """
    from bench.show import show_throughput
    from bench.show_peers import show_peers
    from bench.worker.throughput import Throughput, chosen_kinds
    from bench.workload.events import LogSpec

    with running(broker, json, folder) as (report, started, scratch_folder):
        kinds = chosen_kinds(only, peers, report.say)
        spec = LogSpec.ending_at(time.time_ns() // 1_000_000, events, users, partitions)
        settings = engine_settings(engine)
        bench = Throughput(started, spec, stock_events, scratch_folder, report.say, settings)

        async def run() -> None:
            await bench.prepare(kinds)
            runs = []
            for turn in range(repeat):
                for kind in kinds:
                    report.say(f"run {turn + 1} of {repeat}: {kind}")
                    runs.append(await bench.run(kind))
            (show_peers if peers else show_throughput)(report, bench, runs)

        asyncio.run(run())


@app.command()
def profile(
    events: Annotated[int, typer.Option(min=1, help="Events in the log.")] = 200_000,
    users: Users = 200_000,
    partitions: Partitions = 8,
    batch: Annotated[int, typer.Option(min=1, help="Records a step (the worker: 500).")] = 500,
    functions: Annotated[
        bool, typer.Option("--functions", help="Also cProfile's list; slows all by half.")
    ] = False,
    json: Json = None,
) -> None:
    """Where the time of an event goes: the pipeline over RocksDB, without Kafka, in µs an event.

    Decode, load rows, apply and decide, encode rows, write the store, and building what would be sent.
    """
    from bench.engine.profile import profile as run_profile
    from bench.show import show_profile
    from bench.workload.events import LogSpec

    with reporting(json) as report:
        spec = LogSpec(1_790_000_000_000, events, users, partitions)
        show_profile(report, run_profile(spec, batch, functions))


@app.command()
def latency(
    rate: Annotated[int, typer.Option(min=1, help="Events per second.")] = 10_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long, after the warm-up.")] = 30.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds at the start that don't count.")] = 5.0,
    partitions: Partitions = 8,
    repeat: Annotated[int, typer.Option(min=1, help="Runs; each is shown.")] = 1,
    engine: Engine = None,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Time from an event's being due at the producer to its transition's being readable.

    A steady rate into a running worker. 5 % of the events cause a transition at once, each exactly one, or
    the run fails. Beside it, of the same events in the same run: produced to consumed with plain aiokafka.
    """
    from bench.show import show_latency
    from bench.worker.latency import measure

    settings = engine_settings(engine)
    with running(broker, json, folder) as (report, started, scratch_folder):
        runs = []
        for turn in range(repeat):
            to = scratch_folder / f"run-{turn + 1}"
            to.mkdir()
            run = measure(started, to, rate, seconds, warm_up, partitions, report.say, settings)
            runs.append(asyncio.run(run))
        show_latency(report, runs)


@app.command()
def recovery(
    rows: Annotated[int, typer.Option(min=1, help="Rows in the changelog.")] = 1_000_000,
    stock_rows: Annotated[
        int, typer.Option(min=0, help="How many stock Faust gets; 0: leave it out.")
    ] = 100_000,
    partitions: Partitions = 8,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Rows per second from the changelog into an empty disk, and the time until a worker is ready.

    The changelog is written by the worker's own pipeline and committer. Measured: agents.restore alone in a
    process; a whole worker from its start to /readyz, with an empty disk and again with the disk kept; and
    stock Faust over the same row bytes.
    """
    from bench.show import show_recovery
    from bench.worker.recovery import measure

    with running(broker, json, folder) as (report, started, scratch_folder):
        found = asyncio.run(measure(started, scratch_folder, rows, stock_rows, partitions, report.say))
        show_recovery(report, found)


@app.command()
def memory(
    users: Annotated[int, typer.Option(min=1, help="Users that pass, one event each.")] = 5_000_000,
    partitions: Partitions = 8,
    cache_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows in the cache, as in cache.rows [default: that setting's]")
    ] = None,
    engine: Engine = None,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Resident memory of a worker while millions of users pass through it.

    Sampled every second. It must level off: over the last third of the users it may grow by 5 % of the peak
    (exit code 1 otherwise).
    """
    from bench.show import show_memory
    from bench.worker.memory import measure

    settings = engine_settings(engine)
    if cache_rows is not None:
        settings["TURNSTILE_CACHE__ROWS"] = str(cache_rows)
    with running(broker, json, folder) as (report, started, scratch_folder):
        run = measure(started, scratch_folder, users, partitions, report.say, settings)
        show_memory(report, asyncio.run(run))


@app.command()
def delivery(
    transitions: Annotated[int, typer.Option(min=1, help="Transitions, and so requests.")] = 20_000,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 32,
    eventhub_transitions: Annotated[int, typer.Option(min=1, help="Transitions to the hub.")] = 100_000,
    per_second: Annotated[int, typer.Option(min=1, help="Pace while the hub's latency is measured.")] = 1_000,
    seconds: Annotated[int, typer.Option(min=1, help="For how long.")] = 15,
    only: Annotated[str, typer.Option(help="Which kinds: webhooks, eventhub.")] = "webhooks,eventhub",
    repeat: Annotated[int, typer.Option(min=1, help="Runs; medians are shown.")] = 1,
    broker: Broker = None,
    json: Json = None,
    folder: Folder = None,
) -> None:
    """Deliveries per second of one `turnstile deliver`, beside a plain client of each kind.

    Webhooks: both post the same bodies to the same receiver in a process of its own, one transition a
    request. Event Hub: both send batches with azure-eventhub over AMQP to a local stand-in for a hub (it
    lives with the tests); then the latency that delivery adds at a steady pace. The deliverer reads from
    Kafka, keeps each user's order and commits; every transition must arrive, or the run fails.
    """
    from bench.delivery.eventhub import check_stand_in, measure_eventhub
    from bench.delivery.measure import measure_webhooks
    from bench.show import show_eventhub, show_webhooks

    kinds = only.split(",")
    with running(broker, json, folder) as (report, started, scratch_folder):
        if "eventhub" in kinds:
            check_stand_in()
        webhooks, hubs, latencies = [], [], []
        for turn in range(repeat):
            run_folder = scratch_folder / f"run-{turn + 1}"
            run_folder.mkdir()
            if "webhooks" in kinds:
                webhooks += asyncio.run(
                    measure_webhooks(started, run_folder, transitions, concurrency, report.say)
                )
            if "eventhub" in kinds:
                runs, latency = asyncio.run(
                    measure_eventhub(
                        started, run_folder, eventhub_transitions, per_second, seconds, report.say
                    )
                )
                hubs += runs
                latencies.append(latency)
        if webhooks:
            show_webhooks(report, webhooks)
        if hubs:
            show_eventhub(report, hubs, latencies)


for command in (estimate, backfill, failover, lookup, members, push, rules, scale):
    app.command()(command)


def main(arguments: list[str]) -> None:
    """For ``turnstile bench``."""
    app(arguments, prog_name="turnstile bench")


if __name__ == "__main__":
    main(sys.argv[1:])
