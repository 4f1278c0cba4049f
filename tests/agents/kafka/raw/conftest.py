"""The native core, without which nothing here can run; fetches are read as in our processes."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer import fetcher

from agents.kafka.broker import Broker
from agents.kafka.clients import client_options
from agents.kafka.consumed import use_light_records
from agents.kafka.raw.hooks import RawFetches


@pytest.fixture(scope="session")
def core() -> Any:
    return pytest.importorskip("turnstile_core", reason="the native core isn't built (make core)")


@pytest.fixture
def raw(core: Any) -> RawFetches:
    return RawFetches(lambda topic: not topic.endswith("plain"), core.Fetched, core.UnusualFetch)


@pytest.fixture(autouse=True)
def _as_in_our_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher.PartitionRecords, "_consumer_record", None)
    use_light_records()
    client_options(Broker("nowhere:9092"))
