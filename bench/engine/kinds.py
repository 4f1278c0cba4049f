"""One rule of each kind, for ``bench rules``."""

from __future__ import annotations

KINDS = {
    "count, ever": "{event: view, count: {gte: 3}}",
    "count, within": "{event: view, count: {gte: 3}, within: 6h}",
    "count, between_ago": "{event: view, count: {gte: 3}, between_ago: [12h, 2h]}",
    "count, period": "{event: view, count: {gte: 3}, period: today}",
    "sum, ever": "{event: buy, sum: {property: price, gte: 200}}",
    "sum, within": "{event: buy, sum: {property: price, gte: 200}, within: 2d}",
    "avg, within": "{event: buy, avg: {property: price, gte: 50}, within: 2d}",
    "min, within": "{event: buy, min: {property: price, lt: 10}, within: 2d}",
    "max, ever": "{event: buy, max: {property: price, gte: 90}}",
    "distinct, within": "{event: view, distinct: {property: sku, gte: 3}, within: 6h}",
    "days": "{event: view, days: {gte: 2}}",
    "first": "{event: view, first: {property: campaign, eq: c1}}",
    "last": "{event: view, last: {property: campaign, eq: c1}}",
    "since_last": "{event: view, since_last: {gte: 3h}}",
    "where on text": "{event: view, where: {campaign: c1}}",
    "where on a number": "{event: view, where: {price: {gte: 50}}, within: 6h}",
    "sequence": "{sequence: [{event: view}, {event: buy, within: 2h}], within: 1d}",
    "sequence with ref": (
        "{sequence: [{event: view, as: v}, {event: buy, within: 6h, where: {sku: {eq: {ref: v.sku}}}}],"
        " within: 1d}"
    ),
    "period of 7 days": "{event: view, count: {gte: 3}, period: {last: 7, unit: day}}",
    "where on two": (
        "{event: view, count: {gte: 2}, within: 6h, where: {sku: {in: [s1, s2]}, price: {between: [10, 90]}}}"
    ),
    "where matches": "{event: view, where: {sku: {matches: '^s1'}}, within: 6h}",
    "all and not": "{all: [{event: view, count: {gte: 3}, within: 6h}, {not: {event: buy, within: 1d}}]}",
    "at_least": (
        "{at_least: 2, of: [{event: view, count: {gte: 3}, within: 6h}, {event: buy, within: 1d},"
        " {event: view, where: {campaign: c1}}]}"
    ),
    "score": (
        "{score: [{when: {event: view, count: {gte: 3}, within: 6h}, points: 50},"
        " {when: {event: buy, within: 1d}, points: 30}], gte: 80}"
    ),
    "not_followed_by": "{event: view, not_followed_by: {event: buy}, for: 1h, within: 1d}",
}
