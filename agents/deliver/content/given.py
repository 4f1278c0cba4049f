"""Values given for a webhook's variables, in place of what the user has: for test sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agents.deliver.definitions.destination import Filled, Scalar, Variable, Webhook


def variables_named(webhook: Webhook) -> Iterator[tuple[str, Variable | Filled]]:
    """All that values can be given for: variables and parameters, and the variables within parameters."""
    for name, each in webhook.variables.items():
        yield name, each
        if isinstance(each, Filled):
            yield from each.variables.items()


def with_values(
    variables: Mapping[str, Variable | Filled], given: Mapping[str, Scalar]
) -> Mapping[str, Variable | Filled]:
    """The variables as constants where a value is given. Empty text counts as no value, so a variable has its
    default then."""
    found: dict[str, Variable | Filled] = {}
    for name, each in variables.items():
        if name in given:
            found[name] = Filled(_or_default(each, given[name]), is_data=True)
        elif isinstance(each, Filled):
            found[name] = Filled(each.value, with_values(each.variables, given))
        else:
            found[name] = each
    return found


def _or_default(variable: Variable | Filled, given: Scalar) -> Scalar | None:
    return variable.default if given == "" and isinstance(variable, Variable) else given
