"""Fixtures for tests that send to an event hub. Conftests of `tests/deliver` and `tests/sinks` take them in.

`peer` is the stand-in, for tests that order faults. `event_hub` is the event hub of `TURNSTILE_TEST_EVENTHUB`
(a connection string with EntityPath and the rights to send and listen) where that is set, else the stand-in.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.eventhub.reading import AzureHub, LocalHub, ReadableHub

AZURE = os.environ.get("TURNSTILE_TEST_EVENTHUB")

try:
    from tests.eventhub.peer import Peer
except ModuleNotFoundError as error:
    if error.name not in ("proton", "cproton"):
        raise
    MISSING = (
        "no broker for `event hub`: python-qpid-proton isn't built; it needs a C compiler, then `make peer`"
    )
else:
    MISSING = ""

SDK_LEAKS = pytest.mark.filterwarnings("ignore::ResourceWarning")
"""For tests that cut the SDK's connections: it never closes a socket whose end it met while closing.
`pytest_runtest_teardown` collects them after such a test."""


def skip_without_peer() -> None:
    if MISSING:
        pytest.skip(MISSING)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    skip_without_peer()
    async with Peer() as running:
        yield running


@pytest.fixture
async def new_peer() -> AsyncIterator[Callable[[], Awaitable[Peer]]]:
    """Starts another stand-in each time."""
    skip_without_peer()
    async with AsyncExitStack() as running:

        async def start() -> Peer:
            return await running.enter_async_context(Peer())

        yield start


@pytest.fixture
async def event_hub() -> AsyncIterator[ReadableHub]:
    if AZURE:
        yield await AzureHub.at_its_end(AZURE)
        return
    skip_without_peer()
    async with Peer() as running:
        yield LocalHub(running)


# When the event loop is closed: what the Event Hub SDK left open must not turn up in some later test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    result = yield
    if {"peer", "new_peer"} & set(getattr(item, "fixturenames", ())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return result
