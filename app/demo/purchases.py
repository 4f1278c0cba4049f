"""The sample data: every purchase with its customer, its instant and its place in the log."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import blake2b
from importlib.resources import files

import msgspec

DAY_MS = 86_400_000
LAST_DAY = date(1998, 6, 30)


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the file. ``number`` counts lines from 1; ``first`` is the customer's first in the log."""

    number: int
    customer: str
    at_ms: int
    cds: int
    dollars: float
    first: bool


@dataclass(frozen=True, slots=True)
class PurchaseRecord:
    """What goes to Kafka; ``at_ms`` is the record timestamp."""

    key: bytes
    value: bytes
    at_ms: int


def start_of(day: date) -> int:
    """Midnight UTC (ms)."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def load_purchases(customers: int | None = None, until: date | None = None) -> list[Purchase]:
    """In order of time. ``customers``: only so many, evenly taken; ``until``: ends before that day."""
    rows = _rows()
    if customers is not None:
        rows = _some_customers(rows, customers)
    placed = sorted(
        (_instant(day, number), number, customer, cds, dollars)
        for number, customer, day, cds, dollars in rows
    )
    seen: set[str] = set()
    purchases: list[Purchase] = []
    end_ms = None if until is None else start_of(until)
    for at_ms, number, customer, cds, dollars in placed:
        if end_ms is not None and at_ms >= end_ms:
            break
        purchases.append(Purchase(number, customer, at_ms, cds, dollars, customer not in seen))
        seen.add(customer)
    return purchases


def records_of(purchase: Purchase) -> Iterator[PurchaseRecord]:
    """The purchase as an event; before a customer's first one, what the shop then knows of them."""
    at = datetime.fromtimestamp(purchase.at_ms / 1000, UTC)
    time = f"{at:%Y-%m-%dT%H:%M:%S}.{purchase.at_ms % 1000:03d}Z"
    key = purchase.customer.encode()
    if purchase.first:
        known = {"cohort": f"{at:%Y-%m}", "first_amount": purchase.dollars, "first_cds": purchase.cds}
        profile = {
            "type": "profile",
            "id": f"cdnow-{purchase.number}-profile",
            "user_id": purchase.customer,
            "time": time,
            "set": known,
        }
        yield PurchaseRecord(key, _encode(profile), purchase.at_ms)
    event = {
        "id": f"cdnow-{purchase.number}",
        "user_id": purchase.customer,
        "event": "purchase",
        "time": time,
        "properties": {"cds": purchase.cds, "amount": purchase.dollars, "month": f"{at:%Y-%m}"},
    }
    yield PurchaseRecord(key, _encode(event), purchase.at_ms)


def end_of_log(until: date | None) -> int:
    """Where the clock stops (ms): the midnight after the last day."""
    return start_of(until or LAST_DAY + timedelta(days=1))


def regular_customer(purchases: Sequence[Purchase]) -> str:
    """Who makes a good example: of those who came in the first days, the one with the most purchases."""
    counts: dict[str, int] = {}
    for purchase in purchases:
        if purchase.customer in counts:
            counts[purchase.customer] += 1
        elif purchase.at_ms < purchases[0].at_ms + 3 * DAY_MS:
            counts[purchase.customer] = 1
    return max(counts, key=lambda customer: (counts[customer], customer))


_Row = tuple[int, str, int, int, float]
"""Line number, customer, midnight of the day (ms), CDs, dollars."""


def _rows() -> list[_Row]:
    packed = files("app.demo").joinpath("data/cdnow.csv.gz").read_bytes()
    with io.StringIO(gzip.decompress(packed).decode("ascii"), newline="") as text:
        lines = csv.reader(text)
        next(lines)
        return [
            (number, customer, _midnight(day), int(cds), float(dollars))
            for number, (customer, day, cds, dollars) in enumerate(lines, 1)
        ]


def _some_customers(rows: list[_Row], wanted: int) -> list[_Row]:
    """All rows of ``wanted`` customers; ids follow the first purchase, so neighbours are much alike."""
    names = sorted({row[1] for row in rows})
    step = max(1, len(names) // max(1, wanted))
    taken = set(names[::step][:wanted])
    return [row for row in rows if row[1] in taken]


@cache
def _midnight(day: str) -> int:
    return start_of(date(int(day[:4]), int(day[4:6]), int(day[6:])))


def _instant(midnight_ms: int, number: int) -> int:
    """Somewhere in the day, for one line always the same."""
    spread = int.from_bytes(blake2b(b"%d" % number, digest_size=6).digest(), "big")
    return midnight_ms + spread % DAY_MS


_encode = msgspec.json.Encoder().encode
