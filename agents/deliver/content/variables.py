"""The values of a template's variables, for one delivery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agents.deliver.contract.delivery import Delivery
from agents.deliver.definitions.destination import Filled, Variable
from agents.deliver.definitions.templates import Values, fill_text
from rules.predicates.paths import MISSING, lookup

_OF_DELIVERY: Final = frozenset({("id_type",), ("reach_by",), ("reach_id",)})


def values_of(delivery: Delivery, variables: Mapping[str, Variable | Filled]) -> Values:
    """The variables for one delivery. Empty text counts as no value."""

    def value(name: str) -> object:
        variable = variables.get(name)
        if variable is None:
            return field_of(delivery, (name,))
        if isinstance(variable, Filled):
            given = variable.value
            if isinstance(given, str) and "$" in given and not variable.is_data:
                return fill_text(given, values_of(delivery, variable.variables))
            return given
        if variable.source == "field":
            found = field_of(delivery, variable.path)
        elif variable.source == "property":
            found = lookup(delivery.properties, variable.path)
        else:
            found = attribute_of(delivery, variable.path)
        return variable.default if found is MISSING or found is None or found == "" else found

    return value


def field_of(delivery: Delivery, path: tuple[str, ...]) -> object:
    """A field of the (first) transition, ``trigger.event`` too."""
    if path == ("user_id",):
        return delivery.id_sent
    if path in _OF_DELIVERY:
        return getattr(delivery, path[0])
    value: object = delivery.transitions[0]
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def attribute_of(delivery: Delivery, path: tuple[str, ...]) -> object:
    """An attribute of the user, or the identity of that name."""
    if delivery.user is None:
        return MISSING
    found = lookup(delivery.user.attributes, path)
    if found is MISSING and len(path) == 1:
        return delivery.user.identities.get(path[0], MISSING)
    return found
