"""The sample data and the records made of it."""

from __future__ import annotations

import json
from datetime import date
from itertools import pairwise

from agents.formats.native import read_record
from app.demo.purchases import load_purchases, records_of, regular_customer, start_of


def test_the_whole_data_set_is_there_in_order_of_time() -> None:
    purchases = load_purchases()
    assert len(purchases) == 69_659
    assert len({each.customer for each in purchases}) == 23_570
    assert sum(each.first for each in purchases) == 23_570
    assert sum(round(each.dollars * 100) for each in purchases) == 250_031_563
    assert all(one.at_ms <= next.at_ms for one, next in pairwise(purchases))
    assert len({(each.customer, each.at_ms) for each in purchases}) == len(purchases)
    assert purchases[0].at_ms >= start_of(date(1997, 1, 1))
    assert purchases[-1].at_ms < start_of(date(1998, 7, 1))


def test_a_purchase_keeps_its_day_and_gets_the_same_time_each_run() -> None:
    first, again = load_purchases(customers=20), load_purchases(customers=20)
    assert first == again
    assert len({each.customer for each in first}) == 20
    assert len({each.at_ms % 86_400_000 for each in first}) > len(first) * 0.9


def test_until_ends_the_log_before_a_day() -> None:
    purchases = load_purchases(until=date(1997, 2, 1))
    assert max(each.at_ms for each in purchases) < start_of(date(1997, 2, 1))
    assert len(purchases) == 8_928


def test_records_are_good_input() -> None:
    purchases = load_purchases(customers=5)
    ids = set()
    for purchase in purchases:
        records = list(records_of(purchase))
        assert len(records) == (2 if purchase.first else 1)
        for record in records:
            body = read_record(record.value)
            assert body.user_id.encode() == record.key
            ids.add(body.id)
        event = json.loads(records[-1].value)
        assert event["properties"]["amount"] == purchase.dollars
        assert start_of(date.fromisoformat(event["time"][:10])) <= records[-1].at_ms
    assert len(ids) == len(purchases) + 5


def test_the_example_customer_bought_early_and_often() -> None:
    purchases = load_purchases(customers=300)
    customer = regular_customer(purchases)
    mine = [each for each in purchases if each.customer == customer]
    assert len(mine) > 3
    assert mine[0].at_ms < purchases[0].at_ms + 3 * 86_400_000
