"""The suite in several processes (pytest-xdist): which tests stay together, and which begin first.

Each process has brokers and folders of its own, so tests of two processes never meet. What costs much to
start is started once: the tests that share it stay together.
"""

from __future__ import annotations

import pytest

from app.kafka import embedded

STARTED_ONCE = {"kafka_cluster": "three nodes", "helm": "helm"}
"""A fixture, and the name of the group of all tests that ask for it."""


def is_one_of_several(config: pytest.Config) -> bool:
    """Whether this process runs a part of the tests only."""
    return hasattr(config, "workerinput")


def arrange(items: list[pytest.Item]) -> None:
    """Tests that take long come first and one by one, so that no process waits for another one at the end.

    Then come whole modules: to hand out thousands of tests that take a millisecond costs more than they do.
    """
    for item in items:
        group = _group(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: not takes_long(item))


def share_ports(config: pytest.Config) -> None:
    """No process gives a port that another one has given, and that nobody listens on yet."""
    if is_one_of_several(config):
        number, processes = (config.workerinput[name] for name in ("workerid", "workercount"))
        embedded.PORTS = embedded.PORTS[int(number.removeprefix("gw")) :: processes]


def takes_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("slow", "broker", "kafka"))


def _group(item: pytest.Item) -> str | None:
    asked = set(getattr(item, "fixturenames", ()))
    for fixture, group in STARTED_ONCE.items():
        if fixture in asked:
            return group
    if item.get_closest_marker("xdist_group") or (takes_long(item) and "kafka_node" not in asked):
        return None
    return item.nodeid.partition("::")[0]
