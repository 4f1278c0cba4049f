"""Which workers keep a standby of which partition: the same on all of them, and nobody has to be told.

Workers stand in a ring, in the order of their URLs. The standbys of a partition are on those that follow its
owner, beginning with another one for each partition, so that what one worker owns is spread over all others.
The leader uses the same function on the assignment before: what a worker leaves goes to those who have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Held = Mapping[str, Iterable[int]]
"""The table's partitions that each worker owns, by its URL."""


def standbys_of(held: Held, copies: int) -> dict[str, set[int]]:
    """The partitions that each worker keeps a standby of.

    Each has so many ``copies`` besides its owner's, or as many as there are other workers.
    """
    ring = sorted(held)
    found: dict[str, set[int]] = {url: set() for url in ring}
    for place, owner in enumerate(ring):
        others = ring[place + 1 :] + ring[:place]
        for partition in held[owner]:
            for copy in range(min(copies, len(others))):
                found[others[(partition + copy) % len(others)]].add(partition)
    return found


def promoted(held: Mapping[str, set[int]], before: Held, partitions: int, copies: int) -> dict[str, set[int]]:
    """``held`` by the members of a group, by URL, and what nobody holds where a standby of it is. ``before``:
    the assignment before, also of workers that are gone. No worker gets more than its share."""
    standbys = standbys_of(before, copies)
    found = {url: set(each) for url, each in held.items()}
    most = -(-partitions // max(1, len(found)))
    for partition in sorted(set(range(partitions)) - set().union(*found.values())):
        having = [
            url for url in sorted(found) if partition in standbys.get(url, ()) and len(found[url]) < most
        ]
        if having:
            found[min(having, key=lambda url: len(found[url]))].add(partition)
    return found
