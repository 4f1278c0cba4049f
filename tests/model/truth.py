"""Sections 4, 6 and 8: the value of a rule for a user at an instant.

Choices: the points of a score are added as decimals, exactly. A batch audience's compute at c sees records
applied at c itself, and of a user whose first record came later than c it sees nothing, so that the user
isn't in it. Other audiences are seen by it as they were at c.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.model.calendars import compute_before
from tests.model.events import event_truth
from tests.model.facts import Known, View
from tests.model.instants import duration_ms
from tests.model.operators import compared, operator, reach_all
from tests.model.sequences import not_followed_truth, sequence_truth

Json = Any


def audience_truth(definition: Json, user: Known, at_ms: int, created_ms: int) -> bool:
    """Whether the user is in an audience at an instant, by its rule."""
    zone = definition.get("timezone", "UTC")
    if definition.get("type") != "batch":
        return truth(definition["rule"], View(user, at_ms, zone))
    computed_ms = compute_before(definition.get("schedule", "daily"), zone, at_ms, created_ms)
    if computed_ms is None or computed_ms < user.first_ms:
        return False
    return truth(definition["rule"], View(user, computed_ms, zone, batch=True))


def truth(rule: Json, view: View) -> bool:
    if "all" in rule:
        return all(truth(part, view) for part in rule["all"])
    if "any" in rule:
        return any(truth(part, view) for part in rule["any"])
    if "not" in rule:
        return not truth(rule["not"], view)
    if "at_least" in rule:
        return [truth(part, view) for part in rule["of"]].count(True) >= int(rule["at_least"])
    if "score" in rule:
        return score_truth(rule, view)
    if "audience" in rule:
        since = view.since(rule["audience"])
        return since is not None and view.at_ms - since >= duration_ms(rule.get("for", "0ms"))
    if "attribute" in rule:
        return attribute_truth(rule, view)
    if "sequence" in rule:
        return sequence_truth(rule, view)
    return not_followed_truth(rule, view) if "not_followed_by" in rule else event_truth(rule, view)


def score_truth(rule: Json, view: View) -> bool:
    points = sum(Decimal(str(part["points"])) for part in rule["score"] if truth(part["when"], view))
    return all(compared(name, exact(bound), points) for name, bound in rule.items() if name != "score")


def exact(bound: Json) -> Json:
    return [Decimal(str(each)) for each in bound] if isinstance(bound, list) else Decimal(str(bound))


def attribute_truth(rule: Json, view: View) -> bool:
    name = rule["attribute"]
    if "changed_within" in rule:
        changed_ms = view.changed_ms(name)
        if changed_ms is None or view.at_ms - changed_ms >= duration_ms(rule["changed_within"]):
            return False
    tests = {each: operand for each, operand in rule.items() if each not in ("attribute", "changed_within")}
    return any(
        all(operator(each, operand, value, view.at_ms, view.zone) for each, operand in tests.items())
        for value in reach_all(view.attributes(), name)
    )
