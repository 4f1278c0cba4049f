"""The settings of pushes: where a process keeps rows and lists, how many runs there are at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from app.settings.listener import ListenerSettings, port, probe_port
from app.settings.values import HOUR_MS, BaseUrl, Whole, setting, text_list, whole


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    from agents.pushes.profiles.profiles import profiles  # only here: they are files

    pairs = [each.rpartition("=") for each in value]
    systems = {each.system for each in profiles().values()}
    if not all(attribute and system in systems for attribute, _, system in pairs):
        raise ValueError("not an attribute and a system")
    if len({attribute for attribute, _, _ in pairs}) < len(pairs):
        raise ValueError("an attribute given twice")
    return value


Origins = Annotated[tuple[str, ...], BeforeValidator(text_list), AfterValidator(_origins)]
SYSTEMS = "data_bank, damengpan, social_interaction, retail_crm or media_placement"


class PushesSettings(ListenerSettings):
    """Processes of pushes (``turnstile push worker``). Their HTTP interface takes http.api_keys, too."""

    port: Whole = port(6072)
    probe_port: Whole = probe_port(6073)
    data_dir: Path = setting(
        Path(".turnstile-pushes"),
        "the path of a directory",
        "Where RocksDB keeps the rows that are followed, and where lists lie until they are delivered.",
    )
    kafka_runs: Whole = whole(4, 1, 1_000, "Runs to Kafka at a time; others wait in order.")
    module_runs: Whole = whole(3, 1, 1_000, "Runs to internal modules at a time; others wait in order.")
    other_runs: Whole = whole(4, 1, 1_000, "All other runs at a time; others wait in order.")
    history: Whole = whole(1_000, 1, 100_000, "Runs of each push that are kept on the ledger.")
    keep_lists_ms: Whole = whole(
        24 * HOUR_MS,
        0,
        31 * 24 * HOUR_MS,
        "How long (ms) the list of a push's last run that failed is kept, so that it can be pushed again.",
    )
    retry_ms: Whole = whole(
        24 * HOUR_MS,
        0,
        31 * 24 * HOUR_MS,
        "How long (ms) a target that isn't available is tried again before the run fails.",
    )
    origins: Origins = setting(
        (),
        f"a list of ATTRIBUTE=SYSTEM, each attribute once; SYSTEM: {SYSTEMS}",
        "Attributes that came from a system: a push with its profile doesn't take them back there.",
    )
    public_url: BaseUrl | None = setting(
        None,
        "http://host:port",
        "Where modules reach these processes; a notification then says where and how to confirm the list.",
    )
    confirmation_secret: SecretStr | None = setting(
        None,
        "at least 32 characters",
        "What makes the tokens with which modules confirm lists; the same for all processes.",
        secret=True,
        min_length=32,
    )


def origins_of(pushes: PushesSettings) -> dict[str, str]:
    """The system that attributes came from, by attribute."""
    return {attribute: system for attribute, _, system in (each.rpartition("=") for each in pushes.origins)}


def confirmation_disagreements(pushes: PushesSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with confirmations: the names of settings (the one to blame first), the text."""
    url, secret = "pushes.public_url", "pushes.confirmation_secret"
    if (pushes.public_url is None) is not (pushes.confirmation_secret is None):
        given, lacking = (secret, url) if pushes.public_url is None else (url, secret)
        yield (given, lacking), f"needs {lacking}, too"
