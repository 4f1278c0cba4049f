"""Fixtures every test may ask for. Brokers start when first asked for and end with the session."""

from __future__ import annotations

import signal
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from bench.kafka.apache import ApacheKafka
from tests import time_limits
from tests.brokers.provision import Brokers, Unavailable
from tests.distribution import arrange, is_one_of_several, share_ports
from tests.driver.engines import engine_of_drivers, for_each_engine
from tests.stage.forks import end_nurseries
from tests.strategies.fuzzing import use_profile

__all__ = ["engine_of_drivers"]

# What a test asks for decides its marks, so none can forget them.
MARK_OF_FIXTURE = {
    "kafka": "kafka",
    "kafka_cluster": "kafka",
    "kafka_node": "kafka",
    "broker": "broker",
    "embedded": "broker",
}

BROKERS = pytest.StashKey[Brokers]()
SKIPPED = pytest.StashKey[Counter[str]]()
USED, NOT_RUN = "turnstile.used", "turnstile.skipped"

Made = TypeVar("Made")


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores it, and so would every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[BROKERS] = Brokers()
    config.stash[SKIPPED] = Counter()
    share_ports(config)
    use_profile()
    time_limits.watch(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not MARK_OF_FIXTURE.keys() & set(metafunc.fixturenames):
        for_each_engine(metafunc)


# First, so that `-m` sees the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARK_OF_FIXTURE:
                item.add_marker(MARK_OF_FIXTURE[fixture])
    if is_one_of_several(config):
        arrange(items)


# Runs whatever ended the session: the last test, an error, Ctrl-C.
def pytest_unconfigure(config: pytest.Config) -> None:
    end_nurseries()
    config.stash[BROKERS].stop_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    skipped = item.config.stash[SKIPPED]
    if report.skipped and isinstance(report.longrepr, tuple) and "no broker for" in report.longrepr[2]:
        reason = report.longrepr[2].removeprefix("Skipped: ")
        skipped[reason] += 1
    return report


# Where several processes run the tests, each tells the one that prints the summary.
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if is_one_of_several(config):
        told: dict[str, object] = config.workeroutput  # type: ignore[attr-defined]
        told[USED], told[NOT_RUN] = config.stash[BROKERS].used, dict(config.stash[SKIPPED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told = getattr(node, "workeroutput", {})
    stash = node.config.stash
    for broker in told.get(USED, ()):
        stash[BROKERS].note(broker)
    stash[SKIPPED].update(told.get(NOT_RUN, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used, skipped = config.stash[BROKERS].used, config.stash[SKIPPED]
    if not used and not skipped:
        return
    terminalreporter.section("brokers")
    for broker in used:
        terminalreporter.line(f"used: {broker}")
    for reason, tests in skipped.items():
        terminalreporter.line(f"skipped {tests} test{'s' if tests > 1 else ''}: {reason}")


def _or_skip(what: str, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except Unavailable as error:
        pytest.skip(f"no broker for `{what}`: {error}")


@pytest.fixture(scope="session")
def brokers(pytestconfig: pytest.Config) -> Brokers:
    """All of them; most tests want one of the fixtures below."""
    return pytestconfig.stash[BROKERS]


@pytest.fixture(scope="session")
def kafka(brokers: Brokers) -> str:
    """Address of a real Apache Kafka, shared by the session."""
    return _or_skip("kafka", brokers.kafka)


@pytest.fixture(scope="session")
def embedded(brokers: Brokers) -> str:
    """Address of the embedded broker, shared by the session."""
    return _or_skip("embedded", brokers.embedded)


@pytest.fixture(scope="session")
def broker(brokers: Brokers) -> str:
    """Address of Apache Kafka where it can be had, else of the embedded broker."""
    return _or_skip("broker", brokers.any)


@pytest.fixture(scope="session")
def kafka_cluster(brokers: Brokers) -> ApacheKafka:
    """Three nodes, replication 3, two in sync. A test that kills a node restarts it."""
    return _or_skip("kafka_cluster", brokers.cluster)


@pytest.fixture(scope="module")
def kafka_node(brokers: Brokers) -> Iterator[ApacheKafka]:
    """A node of the test module's own: to kill, to shut down, to restart."""
    node = _or_skip("kafka_node", lambda: brokers.start_kafka(1))
    yield node
    node.stop()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test has, so tests share a broker without meeting."""
    return f"test-{uuid.uuid4().hex[:8]}"
